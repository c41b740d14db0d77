"""The stacks of Transformer layers, each of which adds to one hidden state and can be left out."""

import re
from collections.abc import Iterator

from torch import nn

_FEED_FORWARD = ({"fc1", "fc2"}, {"ffn1", "ffn2"})  # of Transformers, of Conformers
_IN_CONFIG = re.compile(r"(encoder|decoder)(\.sentence_encoder)?\.(layers|transformer_layers|conformer_layers)")


def stacks(model: nn.Module) -> Iterator[tuple[str, bool]]:
    """Find them, but for models with connectivity, whose layers go by their own tables.

    Args:
        model: ``nn.Module``.

    Yields:
        (name of the ``nn.ModuleList``, whether its layers can be cut out: the config then says how many there are).
    """
    if hasattr(model, "connectivity"):
        return
    for name, module in model.named_modules():
        layers = [layer for _, layer in module.named_children()] if isinstance(module, nn.ModuleList) else []
        if layers and all(map(_is_layer, layers)):
            yield name, bool(_IN_CONFIG.fullmatch(name))


def options(model: nn.Module) -> dict[str, int]:
    """How many layers the config of a model has to name, dict of option -> count."""
    cut = [name for name, in_config in stacks(model) if in_config]
    return {f"{name.partition('.')[0]}_layers": len(list(model.get_submodule(name).children())) for name in cut}


def _is_layer(module):
    parts = {name for name, _ in module.named_children()}
    scalars = any(parameter.dim() == 0 for parameter in module.parameters())
    return "self_attn" in parts and any(known <= parts for known in _FEED_FORWARD) and not scalars
