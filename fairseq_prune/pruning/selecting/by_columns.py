"""Selecting weights of a layer while it is pruned column by column and its scores change."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from ..units.support import topmost
from .ranking import drop_lowest


class ByColumns(Protocol):
    """A function of (scores [rows, some columns], which columns) -> bool, True = keep; called from left to right.

    Attributes:
        step: columns that it has to be given at once; None: any number.
    """

    step: int | None

    def __call__(self, scores: Tensor, columns: slice) -> Tensor: ...


class Share:
    """Removes an exact number of all weights; of the columns so far always the part that they are of all.

    Args:
        budget: weights removed afterwards (count), at least those that are removed before.
        before: bool [rows, columns], False = removed before; these stay removed.
    """

    step: int | None = None

    def __init__(self, budget: int, before: Tensor):
        self._budget, self._before, self._gone = budget, before, 0

    def __call__(self, scores: Tensor, columns: slice) -> Tensor:
        rows, width = self._before.shape
        there = self._before[:, columns]
        gone_later = int((~self._before[:, columns.stop :]).sum())
        least = self._budget - rows * (width - columns.stop)  # the rest cannot take more than all
        wanted = max(round(self._budget * columns.stop / width), least) - self._gone
        count = min(max(wanted, int((~there).sum())), self._budget - self._gone - gone_later)
        self._gone += count
        return drop_lowest(scores.masked_fill(~there, -torch.inf).flatten(), count).view_as(scores)


class OfEvery:
    """Keeps N of every M consecutive columns in each row.

    Args:
        n, m: how many of how many (counts).
        before: as of :class:`Share`.
    """

    def __init__(self, n: int, m: int, before: Tensor):
        self._n, self._before = n, before
        self.step: int | None = m

    def __call__(self, scores: Tensor, columns: slice) -> Tensor:
        there = self._before[:, columns]
        return topmost(scores.masked_fill(~there, -torch.inf), self._n, 1) & there
