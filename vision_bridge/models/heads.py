"""Adapting the classifier layer when weights were trained on other classes."""

import logging
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from fairseq_prune.pruning.masks import METADATA_KEY

logger = logging.getLogger(__name__)


def is_auxiliary(name: str) -> bool:
    """True if a parameter belongs to an auxiliary classifier, by its name."""
    return "aux" in name.lower()


def foreign_heads(net: nn.Module, state: Mapping[str, Tensor], classes: int) -> list[str]:
    """Entries of classifiers that have another number of classes than the net.

    Args:
        net: ``nn.Module``; its last parameter belongs to its classifier, auxiliary ones have ``aux`` in their names.
        state: dict of entry name -> tensor.
        classes: classes of the net (count).

    Returns:
        list of entry names; empty if the numbers of classes agree.
    """
    parameters = dict(net.named_parameters())
    last = list(parameters)[-1].rpartition(".")[0]
    heads = [name for name in parameters if name.rpartition(".")[0] == last or is_auxiliary(name)]
    heads = [name for name in heads if name in state and len(parameters[name]) == classes]
    return [name for name in heads if len(state[name]) != classes]


def begin_heads_anew(
    net: nn.Module, state: Mapping[str, Tensor], heads: list[str], classes: int, source: str
) -> dict[str, Tensor]:
    """Replace foreign classifiers in a state dict by the net's own new weights, with as many inputs, and log it.

    Args:
        net: ``nn.Module`` with new weights.
        state: dict of entry name -> tensor.
        heads: from :func:`foreign_heads`.
        classes: classes of the net (count).
        source: where the weights come from, for the message.

    Returns:
        dict like ``state``.
    """
    mine, theirs = dict(net.named_parameters()), len(state[heads[0]])
    logger.info(f"{source} has {theirs} classes, the images have {classes}: new weights for {', '.join(heads)}")
    new = {}
    for name in heads:
        value = mine[name].detach()
        new[name] = (value[:, : state[name].shape[1]] if value.dim() > 1 else value).clone()
    return {**state, **new}


def drop_masks(metadata: dict[str, Any], names: list[str]) -> None:
    """Remove the masks of some entries from a state dict's metadata, in place."""
    masks = metadata.get(METADATA_KEY, {})
    metadata[METADATA_KEY] = {name: mask for name, mask in masks.items() if name not in names}
