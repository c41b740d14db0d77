"""Permuting the coupled units of a model, which does not change its function."""

from collections.abc import Collection, Iterable

import torch
from torch import Tensor, nn

from ..surgery.cut import entries
from ..surgery.structure import Structure
from ..surgery.table import Owner
from .search import find_permutation
from .stack import places_of, stack

Permutations = dict[str, torch.Tensor]  # vector name -> int64 [units], the old unit at each new position


def permute_tensor(tensor: Tensor, owners: Iterable[Owner], permutations: Permutations) -> Tensor:
    """Reorder the units along all axes of one tensor.

    Args:
        tensor: a weight, its mask or one of its moments.
        owners: its :class:`~..surgery.table.Owner` s.
        permutations: dict of vector name -> int64 [units], the old unit at each new position.

    Returns:
        A new contiguous tensor, or ``tensor`` itself if none of its vectors is permuted.
    """
    for owner in (owner for owner in owners if owner.vector in permutations):
        order, source = permutations[owner.vector], torch.arange(tensor.shape[owner.axis])
        places = places_of(owner, len(source), len(order))
        assert places is not None, owner.vector  # `permuted` leaves it alone
        source[places] = places[order]
        tensor = tensor.index_select(owner.axis, source.to(tensor.device))
    return tensor


def permuted(
    model: nn.Module,
    structure: Structure,
    n: int,
    m: int,
    generator: torch.Generator,
    sparse: Collection[str] | None = None,
    rounds: int | None = None,
) -> Permutations:
    """Search, for every vector, an order of its units in which N:M sparsity keeps more of their readers' weights.

    A group is m consecutive elements along the input axis, whose length is a multiple of m. A vector stays as it is
    if a group of a sparse reader also holds units of another vector, or if one of its tensors is shared with a layer
    that the structure does not know. Readers whose groups hold only one unit each (of a flattened map) do not count.

    Source: Pool & Yu, "Channel Permutations for N:M Sparsity", NeurIPS 2021.

    Args:
        model: ``nn.Module``; not modified.
        structure: :class:`~..surgery.structure.Structure` of what may be permuted, from
            :func:`fairseq_prune.families.permutable` or by tracing.
        n: weights kept in each group (count).
        m: weights in a group (count).
        generator: CPU ``torch.Generator``; drawn from once for each vector searched.
        sparse: names of the readers that will be sparse; None: all.
        rounds: as for :func:`.search.find_permutation`.

    Returns:
        dict of vector name -> int64 [units], the old unit at each new position; only for vectors that gain.
    """
    values, found = entries(model), {}
    fixed = _fixed(structure, values)
    for name in structure.vectors:
        if name in fixed:
            continue
        matrix = stack(structure, name, values, m, sparse)
        if matrix is not None:
            order = find_permutation(matrix, n, m, generator, rounds)
            if not torch.equal(order, torch.arange(len(order))):
                found[name] = order
    return found


def _fixed(structure, values):
    """Set of the vectors whose units have unequal numbers of places, or whose tensors have other owners elsewhere."""
    owned = {entry: {owner[:2] for owner in structure.table.get(entry, ())} for entry in values}
    by_tensor = {id(value): owned[entry] for entry, value in values.items()}
    fixed = {name for entry, value in values.items() for _, name in by_tensor[id(value)] ^ owned[entry]}
    for entry, owners in structure.table.items():
        for owner in owners:
            units = structure.vectors[owner.vector].length
            if entry in values and places_of(owner, values[entry].shape[owner.axis], units) is None:
                fixed.add(owner.vector)
    return fixed
