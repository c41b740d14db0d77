"""Search for an order of columns in which N:M sparsity keeps more.

Source: Pool & Yu, "Channel Permutations for N:M Sparsity", NeurIPS 2021, for the objective, the efficacy and the
search over pairs of groups. The annealed reassignment before it is ours and replaces their random escapes.
"""

import numpy as np
import torch
from torch import Tensor

from .anneal import anneal, rounds_for
from .descend import descend, settled
from .moves import Splits, Swaps, count_splits

LEAST = 1e-6  # gains below this fraction of the objective do not count
SPLITTING = 5e8  # splits are tried up to this number of pairs * splits * rows


def kept(matrix: Tensor, n: int, m: int) -> float:
    """Sum of the magnitudes that N:M sparsity keeps.

    Args:
        matrix: [rows, columns]; consecutive columns form the groups.
        n: weights kept in each group (count).
        m: columns in a group (count).

    Returns:
        float, summed in float64.

    Raises:
        ValueError: n, m or the number of columns does not fit.
    """
    _check(matrix, n, m)
    groups = matrix.detach().abs().double().unflatten(1, (-1, m))
    return float(groups.topk(n, 2).values.sum())


def efficacy(matrix: Tensor, permutation: Tensor, n: int, m: int) -> float:
    """The fraction of what the N:M pattern costs that a permutation regains.

    Args:
        matrix: [rows, columns].
        permutation: int64 [columns], the old column at each new position.
        n: weights kept in each group (count).
        m: columns in a group (count).

    Returns:
        0 for the order as it is, 1 if every row keeps its largest n/m weights; 0.0 if there is nothing to regain.
    """
    before, after = kept(matrix, n, m), kept(matrix[:, permutation], n, m)
    columns = matrix.shape[1]
    best = kept(matrix, columns * n // m, columns)
    return (after - before) / (best - before) if best > before else 0.0


def find_permutation(matrix: Tensor, n: int, m: int, generator: torch.Generator, rounds: int | None = None) -> Tensor:
    """Find an order of columns that keeps more: annealed reassignments, then the best moves between pairs of groups.

    On the same kind of machine, equal generators give equal orders. An order that no move between two groups
    improves, such as one found before, is left as it is.

    Args:
        matrix: [rows, columns], weights or magnitudes.
        n: weights kept in each group (count).
        m: columns in a group (count).
        generator: CPU ``torch.Generator``; drawn from once.
        rounds: rounds of annealing (count); None: a number that takes a few seconds at most for 512 x 512.

    Returns:
        int64 [columns], the old column at each new position. Members and groups are in ascending order. The new order
        never keeps less than the old one.

    Raises:
        ValueError: n, m or the number of columns does not fit, or weights are not finite.
    """
    _check(matrix, n, m)
    seed = int(torch.randint(2**62, (), generator=generator))
    columns = _magnitudes(matrix)
    identity = np.arange(len(columns)).reshape(-1, m)
    least = LEAST * _kept(columns, identity, n)
    if n == m or len(identity) == 1 or least == 0 or settled(_moves(columns, identity, n), least):
        return torch.arange(len(columns))
    groups = identity.copy()
    rounds = rounds_for(len(identity), columns.shape[1]) if rounds is None else rounds
    anneal(columns, groups, n, rounds, np.random.default_rng(seed))
    if _kept(columns, groups, n) < _kept(columns, identity, n):
        groups = identity.copy()
    descend(_moves(columns, groups, n), least)
    if _kept(columns, groups, n) <= _kept(columns, identity, n):
        groups = identity
    groups = np.sort(groups, 1)
    return torch.from_numpy(groups[groups[:, 0].argsort()].reshape(-1))


def _moves(columns, groups, n):
    """All splits of two groups if they are few enough, else swaps of two columns."""
    pairs, splits = len(groups) * (len(groups) - 1) // 2, count_splits(groups.shape[1])
    split = pairs * splits * columns.shape[1] <= SPLITTING and splits <= 500
    return (Splits if split else Swaps)(columns, groups, n)


def _magnitudes(matrix):
    """Magnitudes as float32 [columns, rows], scaled so that the largest is 1."""
    columns = matrix.detach().abs().float().t().contiguous().cpu().numpy()
    largest = columns.max(initial=0)
    if not np.isfinite(largest):
        raise ValueError("cannot order weights of which some are not finite")
    return columns / largest if largest else columns


def _kept(columns, groups, n):
    """As :func:`kept`, for groups of columns."""
    m = groups.shape[1]
    ordered = (np.partition(columns[group], m - n, 0)[m - n :] for group in groups)
    return sum(float(top.sum(dtype=np.float64)) for top in ordered)


def _check(matrix, n, m):
    if not 1 <= n <= m:
        raise ValueError(f"{n}:{m} sparsity keeps n of m weights with 1 <= n <= m, e.g. 2:4")
    if matrix.dim() != 2 or not matrix.shape[1] or matrix.shape[1] % m:
        raise ValueError(f"a matrix {list(matrix.shape)} has no columns in groups of {m}")
