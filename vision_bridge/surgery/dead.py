"""Channels that can be removed without changing what a net computes, in evaluation or in training."""

from collections.abc import Mapping

import torch
from torch import Tensor

from fairseq_prune.pruning.surgery.structure import AXES, Structure, evenly


def keep_living(structure: Structure, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Find the channels that stay when all channels that are zero or unread are removed.

    A channel is zero if everything that writes it is exactly zero: its filters, their biases, its norms' scales and
    shifts. Removing it may make further channels zero or unread, which are then removed, too. Only channels that a
    layer norm normalises together with others matter even if they are not read.
    (After an activation that does not map 0 to 0, a zero channel is not zero; the caller has to check that.)

    Args:
        structure: :class:`~fairseq_prune.pruning.surgery.structure.Structure`.
        parameters: dict of parameter name -> tensor; entries of the table that are not in it are buffers.

    Returns:
        dict of vector name -> bool tensor [length], True = stays; only for vectors that lose channels. Each keeps at
        least one channel, and equally many in every group of a grouped convolution.
    """
    filled = {entry: parameters[entry].cpu() != 0 for entry in structure.table if entry in parameters}
    slices = {name: [] for name in structure.vectors}
    for entry in filled:
        for owner in structure.table[entry]:
            slices[owner.vector].append((filled[entry], owner))
    unread = {name: not vector.normalised for name, vector in structure.vectors.items()}
    keep = {name: torch.ones(vector.length, dtype=torch.bool) for name, vector in structure.vectors.items()}
    while any([_drop(units, slices[name], unread[name]) for name, units in keep.items()]):
        pass
    keep = {name: ~evenly(~units, structure.vectors[name].heads, stay=1) for name, units in keep.items()}
    return {name: units for name, units in keep.items() if not units.all()}


def _drop(keep, slices, unread):
    """Remove dead channels, and unread ones if ``unread``, from one vector and from what is filled; True if any."""
    written, read = torch.zeros_like(keep), torch.zeros_like(keep)
    for filled, owner in slices:
        along = owner.first(filled)
        along = along.reshape(len(along), -1).any(1)
        elements = torch.arange(len(along)) if owner.elements is None else owner.elements
        (read if owner.axis == AXES["readers"] else written)[elements[along & (elements >= 0)]] = True
    living = keep & written & (read if unread else keep)
    if not living.any():
        living[keep.nonzero()[0]] = True
    if torch.equal(living, keep):
        return False
    keep.copy_(living)
    for filled, owner in slices:
        filled &= owner.over(keep, filled.shape, otherwise=True)
    return True
