"""Selecting nodes and single weights in one ranking."""

import fnmatch
from collections.abc import Mapping

import torch
from torch import nn

from ..budget.counting import highest
from ..masks import Masks
from ..surgery.structure import Structure, masks_without
from ..units import CoupledUnits, Weight
from .coupled import CoupledSelector
from .ranking import drop_lowest
from .selection import Selection
from .selector import Average, SelectionPlan, Values

_WEIGHT = Weight()


class JointSelector(CoupledSelector):
    """Removes the lowest-scoring nodes and weights, until a number of weights is removed.

    A node counts as all the weights that it owns. Source: CNIP of Verdenius et al. 2020 (arXiv:2006.00896), whose
    code turns shares of both kinds into two targets and misses both; here one threshold is solved for.

    Arguments as :class:`CoupledSelector`; patterns hold for nodes and weights.

    Raises:
        ValueError: as there, or the scope is not ``global``.
    """

    def __init__(
        self,
        plan: SelectionPlan,
        structure: Structure,
        units: CoupledUnits,
        average: Average,
        parameters: Mapping[str, nn.Parameter],
    ):
        super().__init__(plan, structure, units, average, parameters)
        if plan.scope != "global":
            raise ValueError(f"--prune-scope {plan.scope}: units {plan.units} are one ranking; give global")
        self.groups = {group: [v for v in vectors if v.heads == 1] for group, vectors in self.groups.items()}
        self._weights = {
            name: p for name, p in self._parameters.items()
            if p.dim() > 1 and not _any(name, plan.skip) and (not plan.only or _any(name, plan.only))
        }  # fmt: skip
        self._here = dict.fromkeys(self.groups, sum(p.numel() for p in self._weights.values()))

    def count(self, group: str, masks: Masks) -> tuple[int, int]:
        """(removed, total) of all weights (counts)."""
        removed = sum(int((~masks[name]).sum()) for name in self._weights if name in masks)
        return removed + self.gone.get(group, 0), self._total(group)

    def budget(self, group: str, fraction: float) -> int:
        """Weights that a fraction amounts to (count)."""
        return self._rounding(fraction, self.count(group, {})[1])

    def highest(self, group: str, fraction: float) -> float | None:
        """As :meth:`Selector.highest`, of weights."""
        return highest(fraction, self.count(group, {})[1])

    def select(
        self, fractions: Mapping[str, float], masks: Masks, generator: torch.Generator, evidence: Values | None = None
    ) -> Selection:
        """As :meth:`Selector.select`: removes exactly the budget of weights; one node of every vector is kept."""
        ((group, vectors),) = self.groups.items()
        budget = self.budget(group, fractions[group]) - self.gone.get(group, 0)
        lengths = [v.length for v in vectors]
        nodes = torch.cat([self._guarded(v, masks, generator, evidence) for v in vectors])
        order = nodes.argsort(stable=True)[: len(nodes) - len(vectors)]
        weights = self._weight_scores(masks, generator, evidence)

        def without(count):
            """Nodes that are kept, masks of all that they leave, and scores of the weights that are left."""
            stay = torch.ones_like(nodes, dtype=torch.bool).index_fill(0, order[:count], False)
            keep = dict(zip((v.name for v in vectors), stay.split(lengths), strict=True))
            gone = masks_without(self._structure, {n: p.shape for n, p in self._parameters.items()}, keep)
            left = [s.masked_fill(~gone[n].flatten(), -torch.inf) if n in gone else s for n, s in weights.items()]
            return keep, gone, torch.cat(left)

        low, high = 0, len(order)
        while (
            low < high
        ):  # the most nodes that fit, together with the weights that score no higher than the last of them
            middle = (low + high + 1) // 2
            fits = int((without(middle)[2] <= nodes[order[middle - 1]]).sum()) <= budget
            low, high = (middle, high) if fits else (low, middle - 1)
        keep, gone, left = without(low)
        parts = drop_lowest(left, budget).split([len(s) for s in weights.values()])
        kept = {name: part.view(self._weights[name].shape) for name, part in zip(weights, parts, strict=True)}
        return Selection({**gone, **kept}, keep)

    def _weight_scores(self, masks, generator, evidence):
        """Dict of weight name -> its scores [elements]; what is removed ranks below everything."""
        values = evidence or {name: p.detach() for name, p in self._weights.items()}
        scores = {n: self._average(self._importance(values[n], _WEIGHT, generator)) for n in self._weights}
        return {n: s.masked_fill(~masks[n].flatten(), -torch.inf) if n in masks else s for n, s in scores.items()}

    @property
    def owned(self) -> set[str]:
        return super().owned | self._weights.keys()


def _any(name, patterns):
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
