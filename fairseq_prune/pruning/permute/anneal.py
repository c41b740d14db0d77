"""Annealed reassignment: all groups at once give up one column each and get the one that fits best."""

from collections.abc import Iterable

import numpy as np
from scipy.optimize import linear_sum_assignment

NOISE = 0.35  # noise in the first round, in standard deviations of what a column is worth in a group
TOGETHER = 128  # groups that exchange columns at once
WORK = 4e9  # elements to compare, at most


def rounds_for(groups: int, rows: int) -> int:
    """How many rounds are worth their time (count): 60 for each group, limited to 50..1000 by the work."""
    round_work = groups * min(groups, TOGETHER) * (rows + 512)  # the matching costs as much as 512 rows
    return min(60 * groups, int(np.clip(WORK // round_work, 50, 1000)))


def anneal(columns: np.ndarray, groups: np.ndarray, n: int, rounds: int, generator: np.random.Generator) -> None:
    """Reassign columns in rounds, with noise that falls to zero over the first nine tenths of them.

    In each round, every group gives up a random column, and a matching hands the columns out again so that the groups
    keep as much as possible; noise on what they would keep helps the search to leave local optima.

    Args:
        columns: float32 [columns, rows], magnitudes.
        groups: int64 [groups, m], members of the groups; changed in place.
        n: weights kept in each group (count), below m.
        rounds: number of rounds.
        generator: numpy generator.
    """
    for step in range(rounds):
        noise = NOISE * max(0.0, 1 - step / (0.9 * rounds))
        groups[:] = np.take_along_axis(groups, generator.random(groups.shape).argsort(1), 1)
        order = generator.permutation(len(groups))
        for some in np.array_split(order, -(-len(groups) // TOGETHER)):
            worth = _worth(columns, groups[some], n)
            worth += generator.standard_normal(worth.shape) * (noise * _spread(worth))
            _, best = linear_sum_assignment(worth, maximize=True)
            groups[some, -1] = groups[some, -1][best]


def _worth(columns, groups, n):
    """What each group would keep with each group's last column in place of its own, float64 [groups, groups].

    A group keeps the n - 1 largest of its other columns, and the larger of their n-th and the new column; the former
    do not depend on the new column and are left out.
    """
    others = [columns[member] for member in groups[:, :-1].T]
    level, newcomers = nth_largest(others, n), columns[groups[:, -1]]
    larger = np.empty_like(newcomers)
    worth = np.empty((len(groups), len(groups)))
    for group, values in enumerate(level):
        np.maximum(values, newcomers, out=larger)
        worth[group] = larger.sum(1)
    return worth


def nth_largest(arrays: Iterable[np.ndarray], n: int) -> np.ndarray:
    """Elementwise n-th largest of n or more arrays of the same shape."""
    arrays = list(arrays)
    for _ in range(n):  # bubble the largest to the end
        for i in range(len(arrays) - 1):
            arrays[i], arrays[i + 1] = np.minimum(arrays[i], arrays[i + 1]), np.maximum(arrays[i], arrays[i + 1])
        largest = arrays.pop()
    return largest


def _spread(worth):
    """Standard deviation after removing the effects of rows and columns."""
    alone = worth.mean(0) + worth.mean(1, keepdims=True) - worth.mean()
    return (worth - alone).std()
