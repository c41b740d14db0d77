"""Greedy descent: the best moves first, until none gains anything."""

import numpy as np

from .moves import Moves


def settled(moves: Moves, least: float) -> bool:
    """Whether no move between two groups gains more than ``least``; ``moves`` as in :mod:`.moves`."""
    count = len(moves.groups)
    return not any((moves.gains(a, np.arange(a + 1, count))[0] > least).any() for a in range(count - 1))


def descend(moves: Moves, least: float) -> None:
    """Make the best moves until none gains more than ``least``.

    Each pass makes the best move of all, then the best of those between groups not yet touched, and so on; after it,
    only pairs with a touched group are examined again.

    Args:
        moves: as in :mod:`.moves`; its groups are changed in place.
        least: smallest gain that counts.
    """
    count = len(moves.groups)
    gain, code = np.full((count, count), -np.inf), np.zeros((count, count), np.int64)
    touched = list(range(count))
    while touched:
        moves.refresh(touched)
        current = np.zeros(count, bool)
        for a in touched:
            current[a] = True
            others = np.flatnonzero(~current)
            if len(others):
                gain[others, a] = -np.inf
                gain[a, others], code[a, others] = moves.gains(a, others)
        touched = _pass(moves, gain, code, least)


def _pass(moves, gain, code, least):
    """Make the best moves, each group taking part in at most one; list of the groups touched."""
    first, second = np.nonzero(gain > least)
    best_first = (-gain[first, second]).argsort(kind="stable")
    touched = {}
    for a, b in zip(first[best_first].tolist(), second[best_first].tolist(), strict=True):
        if a not in touched and b not in touched:
            moves.apply(a, b, code[a, b])
            touched.update({a: True, b: True})
    return list(touched)
