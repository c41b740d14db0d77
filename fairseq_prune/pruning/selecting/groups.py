"""Deciding which units of each group are removed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..masks import Masks
from ..prunable import Prunable
from ..units.base import Units
from .ranking import drop_lowest_of_each, drop_lowest_within


@dataclass(frozen=True)
class _Ranking:
    """A group's units in a row.

    Args:
        scores: float [units].
        costs: of each tensor's units, int or int64 [units of the tensor] (count of weights).
        counts: units of each tensor (count).
        budget: to be removed afterwards (count of weights).
    """

    scores: Tensor
    costs: list[int | Tensor]
    counts: list[int]
    budget: int

    @property
    def even(self) -> int | None:
        """What each unit costs (count of weights); None if not all cost the same."""
        first = self.costs[0]
        same = all(isinstance(cost, int) for cost in self.costs) and len(set(self.costs)) == 1
        return first if same and isinstance(first, int) else None

    def drop_uneven(self) -> Tensor:
        """Bool [units] of units of several sizes; True = keep."""
        pairs = zip(self.costs, self.counts, strict=True)
        sizes = [torch.as_tensor(c).to(self.scores.device).expand(n) for c, n in pairs]
        return drop_lowest_within(self.scores, torch.cat(sizes), self.budget)


def decide(
    groups: Sequence[tuple[Sequence[Prunable], int]],
    units: Units,
    score: Callable[[Prunable], Tensor],
    masks: Masks,
) -> tuple[dict[str, Tensor], int | Tensor]:
    """Rank the units of each group and remove the lowest.

    What is removed counts and ranks below everything else, and a budget below what is already removed
    removes nothing more. Of units that are kept, single weights may be removed:
    :func:`~..prunable.intersect` keeps them so.

    Args:
        groups: list of (list of :class:`~fairseq_prune.pruning.prunable.Prunable`, weights of the group to have
            removed afterwards (count)).
        units: the :class:`~fairseq_prune.pruning.units.Units` that are removed together.
        score: function of a prunable -> float scores [units], higher means keep.
        masks: dict of name -> bool, in force so far.

    Returns:
        (dict of prunable name -> bool mask of its weight, by the units that are removed; what
        :func:`~.ranking.drop_lowest_of_each` says of NaN). Together with the masks in force, for single weights
        exactly the budget is removed; larger units never remove more than that.
    """
    rankings = [_rank(prunables, budget, units, score, masks) for prunables, budget in groups]
    even = [(r, r.even) for r in rankings if r.even]
    kept, nans = drop_lowest_of_each([r.scores for r, _ in even], [r.budget // cost for r, cost in even])
    keeps = iter(kept)
    decided: dict[str, Tensor] = {}
    for (prunables, _), ranking in zip(groups, rankings, strict=True):
        parts = (next(keeps) if ranking.even else ranking.drop_uneven()).split(ranking.counts)
        decided.update({p.name: units.spread(part, p.shape) for p, part in zip(prunables, parts, strict=True)})
    return decided, nans


def _rank(prunables, budget, units, score, masks):
    scores, costs = [], []
    for p in prunables:
        value, cost, before = score(p), units.sizes(p.shape), p.mask_in(masks)
        if before is not None:
            left = units.pool(before.float())  # share of each unit
            value = value.masked_fill(left == 0, -torch.inf)
            if torch.is_tensor(cost) or (cost > 1 and ((left > 0) & (left < 1)).any()):
                # what is removed from a unit that is kept is paid for
                full = torch.as_tensor(cost).to(left.device).expand_as(left)
                cost = torch.where(left > 0, (left * full).round().long(), full)
                budget -= int((full - cost).sum())
        scores.append(value)
        costs.append(cost)
    one = scores[0] if len(scores) == 1 else torch.cat(scores)
    return _Ranking(one, costs, [len(s) for s in scores], max(budget, 0))
