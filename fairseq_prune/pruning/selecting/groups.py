"""The decision: which units of one group leave."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ..masks import Masks
from ..prunable import Prunable
from ..units.base import Units
from .ranking import drop_lowest, drop_lowest_within


def decide(
    prunables: Sequence[Prunable], budget: int, units: Units, score: Callable[[Prunable], Tensor], masks: Masks
) -> dict[str, Tensor]:
    """Rank the units of a group and remove the lowest.

    What is removed counts and ranks below everything else, and a budget below what is already gone
    removes nothing more. Of units that stay, single weights may be gone:
    :func:`~.masks.intersect` keeps them so.

    Args:
        prunables: the group, list of :class:`~fairseq_prune.pruning.prunable.Prunable`.
        budget: weights of the group to have removed afterwards (count).
        units: the :class:`~fairseq_prune.pruning.units.Units` that leave together.
        score: function of a prunable -> float scores [units], higher means keep.
        masks: dict of name -> bool, in force so far.

    Returns:
        dict of prunable name -> bool mask of its weight, by the units that leave. Together with the
        masks in force, for single weights exactly ``budget`` are removed; larger units never remove more than that.
    """
    scores, costs = [], []
    for p in prunables:
        value, cost, before = score(p), units.sizes(p.shape), p.mask_in(masks)
        if before is not None:
            left = units.pool(before.float())  # share of each unit
            value = value.masked_fill(left == 0, -torch.inf)
            if ((left > 0) & (left < 1)).any():  # what is gone from a unit that is left is paid for
                full = torch.as_tensor(cost).to(left.device).expand_as(left)
                cost = torch.where(left > 0, (left * full).round().long(), full)
                budget -= int((full - cost).sum())
        scores.append(value)
        costs.append(cost)
    counts = [len(s) for s in scores]
    parts = _drop(torch.cat(scores), costs, counts, max(budget, 0)).split(counts)
    return {p.name: units.spread(part, p.shape) for p, part in zip(prunables, parts, strict=True)}


def _drop(scores, costs, counts, budget):
    """Choose the cheaper exact selection; ``costs`` holds an int or a tensor for each part."""
    if all(isinstance(cost, int) for cost in costs) and len(set(costs)) == 1:
        return drop_lowest(scores, budget // costs[0])
    by_unit = [torch.as_tensor(c).to(scores.device).expand(n) for c, n in zip(costs, counts, strict=True)]
    return drop_lowest_within(scores, torch.cat(by_unit), budget)
