"""Selecting single weights within each output: every row loses the same fraction."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..prunable import Prunable
from ..units import Weight
from ..units.base import Units
from .selector import Average, SelectionPlan
from .tensors import TensorSelector


class OutputSelector(TensorSelector):
    """Compares the weights of each output of a layer with each other.

    Of n weights in r rows exactly k are removed: k / r of every row, rounded down, and one more of the first rows to
    make up k. A row that has lost more than that before loses nothing further.
    """

    def __init__(self, plan: SelectionPlan, prunables: Sequence[Prunable], units: Units, average: Average):
        if not isinstance(units, Weight):
            raise ValueError(
                f"--prune-scope {plan.scope}: is for single weights, not for units {plan.units}; give e.g. layer"
            )
        super().__init__(plan, prunables, units, average)

    def _compared(self, prunable, masks, generator, evidence):
        rows = prunable.shape[0] if len(prunable.shape) > 1 else 1
        scores = super()._compared(prunable, masks, generator, evidence)
        return ranks_in_rows(scores.view(rows, -1), prunable.mask_in(masks)).flatten()


def ranks_in_rows(scores: Tensor, before: Tensor | None) -> Tensor:
    """The rank of each weight in its row, from 0 for the lowest: float32 of the scores' shape.

    Args:
        scores: float [rows, columns]; of equal ones the first ranks lowest.
        before: bool with as many elements, False = removed, which ranks below everything; None: nothing is.
    """
    if before is not None:
        scores = scores.masked_fill(~before.reshape(scores.shape), -torch.inf)
    places = torch.arange(scores.shape[1], device=scores.device, dtype=torch.float32).expand_as(scores)
    ranks = torch.empty(scores.shape, device=scores.device).scatter_(1, scores.argsort(dim=1, stable=True), places)
    return ranks.masked_fill(scores.isnan(), torch.nan)
