"""What the order of coupled units affects under N:M sparsity: the readers' weights, as one matrix."""

from collections.abc import Collection, Mapping

import torch
from torch import Tensor

from ..surgery.structure import Structure
from ..surgery.table import Owner


def places_of(owner: Owner, size: int, units: int) -> Tensor | None:
    """Positions of the units along an axis of a tensor.

    Args:
        owner: :class:`~..surgery.table.Owner`.
        size: length of that axis (count).
        units: units of the vector (count).

    Returns:
        int64 [units, positions of each], ascending; None if some units have more positions than others, or cannot be
        reordered freely (grouped convolutions).
    """
    if owner.blocks > 1:
        return None
    elements = torch.arange(size) if owner.elements is None else owner.elements.cpu()
    counts = elements[elements >= 0].bincount(minlength=units)
    if len(counts) != units or (counts != counts[0]).any():
        return None
    return elements.argsort(stable=True)[size - int(counts.sum()) :].view(units, -1)


def stack(
    structure: Structure, vector: str, values: Mapping[str, Tensor], m: int, sparse: Collection[str] | None = None
) -> Tensor | None:
    """Stack the readers of a vector as the rows of one matrix; a convolution [N, C, R, S] gives N R S rows.

    Args:
        structure: :class:`~..surgery.structure.Structure`.
        vector: its name.
        values: dict of weight name -> tensor.
        m: weights in a group (count), consecutive along the input axis.
        sparse: names of the readers that matter; None: all whose input axis is a multiple of m.

    Returns:
        [rows, units]; None if no reader's groups depend on the order, or if some group holds only part of a block of m
        consecutive units.
    """
    columns: list[Tensor] = []
    units = structure.vectors[vector].length
    for entry, owner in structure.slices(vector, "readers"):
        weight = values[entry].detach().movedim(owner.axis, 0).flatten(1)
        if len(weight) % m or (sparse is not None and entry not in sparse):
            continue
        places = places_of(owner, len(weight), units)
        assert places is not None, entry  # those are left alone by `permuted`
        groups = places // m
        if _alike(groups.T, m):  # groups of one unit each, as in a flattened map
            continue
        if not _alike(groups, m):
            return None
        columns.extend(weight[of_each] for of_each in places.T.to(weight.device))
    return torch.cat(columns, 1).T if columns else None


def _alike(groups, m):
    """Whether groups [length, any] are equal within each block of m along the first axis."""
    return len(groups) % m == 0 and bool((groups.unflatten(0, (-1, m)) == groups[::m, None]).all())
