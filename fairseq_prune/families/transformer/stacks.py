"""The stacks of Transformer layers, each of which adds to one hidden state and can be left out."""

import re
from collections.abc import Iterable, Iterator

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
    return {option_of(name): len(list(model.get_submodule(name).children())) for name in cut}


def option_of(stack: str) -> str:
    """The option that says how many layers a stack has.

    Example:
        >>> option_of("encoder.sentence_encoder.layers")
        'encoder_layers'
    """
    return f"{stack.partition('.')[0]}_layers"


def stacks_in(names: Iterable[str]) -> dict[str, int]:
    """The stacks whose layers can be cut out, by entry names of a state dict: dict of name -> layers (count)."""
    found: dict[str, int] = {}
    for name in names:
        if match := re.match(rf"({_IN_CONFIG.pattern})\.(\d+)\.", name):
            found[match[1]] = max(found.get(match[1], 0), int(match[match.lastindex or 0]) + 1)
    return found


def _is_layer(module):
    parts = {name for name, _ in module.named_children()}
    scalars = any(parameter.dim() == 0 for parameter in module.parameters())
    return "self_attn" in parts and any(known <= parts for known in _FEED_FORWARD) and not scalars
