"""Moves of columns between two groups, and what each move gains."""

import itertools
import math
from collections.abc import Iterable
from typing import Protocol

import numpy as np

BLOCK = 16384  # elements of the arrays on which all splits of some pairs are tried, so that their tables fit the cache


def count_splits(m: int) -> int:
    """Ways to split 2 m columns into two groups of m."""
    return math.comb(2 * m - 1, m - 1)


class Moves(Protocol):
    """A kind of move.

    Attributes:
        groups: int64 [groups, m], the members of each group.
    """

    groups: np.ndarray

    def gains(self, a: int, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """For group ``a`` with each of the others: (gain of the best move, float [others]; its code, int [others])."""

    def apply(self, a: int, b: int, code: int) -> None:
        """Make a move between two groups."""

    def refresh(self, groups: Iterable[int]) -> None:
        """Update what is stored about groups that have changed."""


class Splits:
    """All ways to split the columns of two groups.

    Args:
        columns: float32 [columns, rows], magnitudes.
        groups: int64 [groups, m]; changed in place.
        n: weights kept in each group (count).
    """

    def __init__(self, columns: np.ndarray, groups: np.ndarray, n: int):
        self.columns, self.groups, self.n = columns, groups, n
        width = 2 * groups.shape[1]
        firsts = ((0, *rest) for rest in itertools.combinations(range(1, width), width // 2 - 1))
        self.splits = [(first, tuple(sorted({*range(width)} - {*first}))) for first in firsts]

    def gains(self, a: int, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        step = max(1, BLOCK // self.columns.shape[1])
        kept = np.concatenate([self._kept(a, others[i : i + step]) for i in range(0, len(others), step)], 1)
        best = kept.argmax(0)
        return kept[best, np.arange(len(others))] - kept[0], best

    def _kept(self, a, others):
        """What is kept after each split, [splits, others]; the first split changes nothing."""
        own = [self.columns[member][None] for member in self.groups[a]]
        sums = _TopSums([*own, *(self.columns[members] for members in self.groups[others].T)], self.n)
        return np.stack([(sums.largest(first) + sums.largest(second)).sum(1) for first, second in self.splits])

    def apply(self, a: int, b: int, code: int) -> None:
        both = np.concatenate([self.groups[a], self.groups[b]])
        self.groups[a], self.groups[b] = (both[list(part)] for part in self.splits[code])

    def refresh(self, groups: Iterable[int]) -> None:
        pass


class _TopSums:
    """Elementwise sums of the n largest of any subset of arrays, computed from those of its halves.

    Args:
        arrays: list of arrays that broadcast.
        n: how many are summed.
    """

    def __init__(self, arrays, n):
        self.n, self.known = n, {(i,): [0, array] for i, array in enumerate(arrays)}

    def largest(self, subset):
        """Sum of the n largest of the arrays with these indices (an ascending tuple)."""
        middle = (len(subset) + 1) // 2
        return self._merge(self._sums(subset[:middle]), self._sums(subset[middle:]), self.n)

    def _sums(self, subset):
        """List of the sums of the 0, 1, .. n largest; shorter for a subset of fewer than n."""
        if subset not in self.known:
            middle = (len(subset) + 1) // 2
            halves = self._sums(subset[:middle]), self._sums(subset[middle:])
            counts = range(1, min(self.n, len(subset)) + 1)
            self.known[subset] = [0, *(self._merge(*halves, count) for count in counts)]
        return self.known[subset]

    @staticmethod
    def _merge(left, right, count):
        """The sum of the ``count`` largest of two subsets: the maximum over how many come from each."""
        fewest, most = max(0, count - len(right) + 1), min(count, len(left) - 1)
        best = left[fewest] + right[count - fewest]
        for taken in range(fewest + 1, most + 1):
            best = np.maximum(best, left[taken] + right[count - taken])
        return best


class Swaps:
    """All swaps of a column of one group for a column of another; arguments as for :class:`Splits`, n below m."""

    def __init__(self, columns: np.ndarray, groups: np.ndarray, n: int):
        self.columns, self.groups, self.n = columns, groups, n
        self.level = np.empty((*groups.shape, columns.shape[1]), columns.dtype)
        self.lost = np.empty(groups.shape)
        self.refresh(range(len(groups)))

    def refresh(self, groups: Iterable[int]) -> None:
        """``level``: n-th largest of the other members; ``lost``: what the group keeps less without a member."""
        for group in groups:
            values = self.columns[self.groups[group]]
            ordered = np.sort(values, 0)[::-1]
            last, first_out = ordered[self.n - 1], ordered[self.n]
            self.level[group] = np.where(values >= last, first_out, last)
            self.lost[group] = np.maximum(values, last).sum(1)

    def gains(self, a: int, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        m, own = self.groups.shape[1], self.columns[self.groups[a]]
        gain = np.empty((len(others), m, m))  # other, member of a, member of the other
        for j in range(m):
            theirs = self.columns[self.groups[others, j]]
            for i in range(m):
                gain[:, i, j] = np.maximum(self.level[a, i], theirs).sum(1)
                gain[:, i, j] += np.maximum(self.level[others, j], own[i]).sum(1)
        gain -= self.lost[a][None, :, None] + self.lost[others][:, None]
        by_code = gain.reshape(len(others), -1)
        best = by_code.argmax(1)
        return by_code[np.arange(len(others)), best], best

    def apply(self, a: int, b: int, code: int) -> None:
        i, j = divmod(int(code), self.groups.shape[1])
        self.groups[a, i], self.groups[b, j] = self.groups[b, j], self.groups[a, i]
