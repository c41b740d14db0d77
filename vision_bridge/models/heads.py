"""Adapting the classifier layer to weights that were trained on other classes."""

import logging
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from fairseq_prune.pruning.masks import METADATA_KEY

logger = logging.getLogger(__name__)


def is_auxiliary(name: str) -> bool:
    """Tell a parameter of an auxiliary classifier by its name."""
    return "aux" in name.lower()


def foreign_heads(net: nn.Module, state: Mapping[str, Tensor], classes: int) -> list[str]:
    """Entries of weights that tell other classes apart than the net.

    Args:
        net: ``nn.Module``; its last parameter is of its classifier, auxiliary ones have ``aux`` in their names.
        state: dict of entry name -> tensor.
        classes: of the net (count).

    Returns:
        list of entry names; empty where the classes are as many.
    """
    parameters = dict(net.named_parameters())
    last = list(parameters)[-1].rpartition(".")[0]
    heads = [name for name in parameters if name.rpartition(".")[0] == last or is_auxiliary(name)]
    heads = [name for name in heads if name in state and len(parameters[name]) == classes]
    return [name for name in heads if len(state[name]) != classes]


def begin_heads_anew(
    net: nn.Module, state: Mapping[str, Tensor], heads: list[str], classes: int, source: str
) -> dict[str, Tensor]:
    """Put a net's own weights into the place of foreign classifiers, as wide as these, and say so.

    Args:
        net: ``nn.Module``, of new weights.
        state: dict of entry name -> tensor.
        heads: of :func:`foreign_heads`.
        classes: of the net (count).
        source: what the weights are of, in words.

    Returns:
        dict as ``state``.
    """
    mine, theirs = dict(net.named_parameters()), len(state[heads[0]])
    logger.info(f"{source} has {theirs} classes, the images have {classes}: new weights for {', '.join(heads)}")
    new = {}
    for name in heads:
        value = mine[name].detach()
        new[name] = (value[:, : state[name].shape[1]] if value.dim() > 1 else value).clone()
    return {**state, **new}


def drop_masks(metadata: dict[str, Any], names: list[str]) -> None:
    """Leave masks out of a state dict's metadata, in place."""
    masks = metadata.get(METADATA_KEY, {})
    metadata[METADATA_KEY] = {name: mask for name, mask in masks.items() if name not in names}
