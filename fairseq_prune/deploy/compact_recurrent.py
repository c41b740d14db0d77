"""Cutting out of a checkpoint's recurrent model the hidden units and embeddings' dimensions that are always zero."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..checkpoint.config import Config
from ..families.family import gather
from ..families.recurrent.options import options
from ..families.recurrent.wiring import embeddings, wiring
from ..pruning.masks import stored_masks
from ..pruning.surgery.cut import cut_state
from ..pruning.surgery.structure import Structure, can_be_cut
from .compact import cut_tied, state_like, with_model

MODELS = ("lstm", "lstm_lm", "rnn_lm", "rnnsearch", "luongnet")  # of which every part is known


def compact_recurrent(checkpoint: dict[str, Any]) -> tuple[dict[str, Any], dict[str, int]]:
    """Cut a checkpoint. As :func:`~.compact.compact`, but the same holds in training.

    A unit that nothing writes is cut, its biases included: its state began at zero and stays there. What the
    architecture's options can say of the new widths, the config says.

    Raises:
        ValueError: nothing to cut, or no config.
    """
    state, config = checkpoint["model"], Config(checkpoint)
    structure = gather([wiring(state), embeddings(state)])
    written = {name: _written(structure, name, state) for name in structure.vectors}
    keep = can_be_cut(structure.vectors, written)
    removed: Counter[str] = Counter()
    for name, units in keep.items():
        removed[structure.vectors[name].kind] += int((~units).sum())
    if not removed.total():
        raise ValueError(_why_nothing(structure, written))
    masks = cut_state(stored_masks(state), structure.table, keep)
    cut = state_like(state, cut_tied(state, structure.table, keep), masks)
    config.name_sizes(options(cut))
    config.name_pruning_task()
    return {**with_model(checkpoint, cut), **config.stored}, dict(removed)


def _written(structure: Structure, vector: str, state: Mapping[str, Tensor]) -> Tensor:
    """Units with anything but zeros along the axes where they are written; or the first: bool [units]."""
    length = structure.vectors[vector].length
    written = torch.zeros(length, dtype=torch.bool)
    for entry, owner in structure.producing(vector):
        values = state[entry].movedim(owner.axis, 0)
        written |= owner.any_of((values != 0).flatten(1).any(1) if values.dim() > 1 else values != 0, length)
    written[0] |= ~written.any()
    return written


def _why_nothing(structure, written):
    if not any(vector.cuts for vector in structure.vectors.values()):
        return "nothing to cut: hidden units are as many as the embeddings are wide, which are the output's"
    if any(not units.all() for units in written.values()):
        return "nothing to cut: a layer has no hidden unit without weights, and all layers are cut alike"
    return (
        "nothing to cut: no hidden unit is without weights that write it; prune whole units first, e.g. "
        "--prune-units hidden --prune-scope layer (a run of one process cuts them out itself)"
    )
