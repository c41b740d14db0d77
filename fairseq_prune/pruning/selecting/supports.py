"""Selecting within small groups of weights: N of every M, patterns of kernels."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ..budget import targets_for
from ..budget.counting import ROUNDINGS, highest
from ..budget.given import Goal
from ..masks import Masks
from ..prunable import Prunable
from ..units import Kernel, Weight
from ..units.pattern import Pattern, decode
from ..units.support import NM, NofM, Support
from .by_columns import ByColumns, OfEvery, Share
from .ranking import drop_lowest
from .selection import Selection
from .selector import Average, SelectionPlan, Values
from .tensors import TensorSelector

_WEIGHT, _KERNEL = Weight(), Kernel()


class SupportSelector(TensorSelector, ABC):
    """Selects by a rule of which weights of every small group stay; each tensor is a group of the scope by itself.

    The units that it scores are single weights.

    Arguments and attributes as :class:`TensorSelector`.

    Raises:
        ValueError: no tensor can obey the rule, or the scope is not ``layer``.
    """

    def __init__(self, plan: SelectionPlan, prunables: Sequence[Prunable], units: Support, average: Average):
        if plan.scope != "layer":
            raise ValueError(
                f"--prune-scope {plan.scope}: units {plan.units} are selected in each layer; give --prune-scope layer"
            )
        self._rule = units
        super().__init__(plan, prunables, _WEIGHT, average)

    def _check(self, prunable):
        self._rule.check(prunable.shape)

    def select(
        self, fractions: Mapping[str, float], masks: Masks, generator: torch.Generator, evidence: Values | None = None
    ) -> Selection:
        pruned = [p for p in self.prunables if p.name in fractions and self.budget(p.name, fractions[p.name])]
        scores = [self._scores(p, masks, generator, evidence) for p in pruned]
        chosen: Masks = {}
        for p, keep in zip(pruned, self.keep_each(pruned, scores, fractions), strict=True):
            chosen.update(p.split_mask(keep))
        return Selection(chosen)

    def _scores(self, prunable, masks, generator, evidence):
        """Scores of a tensor's weights, in its shape; what is removed before ranks below everything."""
        scores, before = self._score(prunable, generator, evidence).view(prunable.shape), prunable.mask_in(masks)
        return scores if before is None else scores.masked_fill(~before, -torch.inf)

    @abstractmethod
    def keep_each(
        self, prunables: Sequence[Prunable], scores: Sequence[Tensor], fractions: Mapping[str, float]
    ) -> list[Tensor]:
        """Apply the rule to tensors that lose something, each by its fraction: list of bool, shaped like scores."""


class PatternSelector(SupportSelector):
    """Patterns of 3x3 kernels, and whole kernels beyond what patterns remove."""

    _rule: Pattern

    def __init__(self, plan: SelectionPlan, prunables: Sequence[Prunable], units: Pattern, average: Average):
        super().__init__(plan, prunables, units, average)
        self._kernels_drop = ROUNDINGS[plan.rounding]
        self._library = units.fixed

    def budget(self, group: str, fraction: float) -> int:
        """Weights that patterns and whole kernels remove together (count); 0 where nothing is to be removed."""
        if not fraction:
            return 0
        p = self._by_name[group]
        kernels = p.shape[:2].numel()
        return p.parameter.numel() - (kernels - self._kernels_to_drop(kernels, fraction)) * self._rule.entries

    def count(self, group: str, masks: Masks) -> tuple[int, int]:
        """As :meth:`Selector.count`, where each kernel counts as if it had a pattern's weights at least."""
        p = self._by_name[group]
        left = torch.ones(p.shape) if (keep := p.mask_in(masks)) is None else keep
        left = left.flatten(2).sum(2)
        return p.parameter.numel() - int(left.clamp(min=self._rule.entries)[left > 0].sum()), p.parameter.numel()

    def highest(self, group: str, fraction: float) -> float | None:
        """As :meth:`Selector.highest`; one kernel stays."""
        kernels = self._by_name[group].shape[:2].numel()
        beyond = highest(self._beyond(fraction), kernels)
        return beyond and self._rule.least + beyond * (1 - self._rule.least)

    def _beyond(self, fraction):
        """The fraction of whole kernels, among those with patterns, that makes a fraction of weights."""
        return (fraction - self._rule.least) / (1 - self._rule.least)

    def _kernels_to_drop(self, kernels, fraction):
        """Whole kernels to remove (count); a fraction below that of the patterns alone means these alone."""
        beyond = self._beyond(fraction)
        if beyond <= 0 or (self._rule.fixed and fraction < 0.5):  # the seed's rule for its own patterns
            return 0
        return min(self._kernels_drop(beyond, kernels), kernels - 1)

    def keep_each(
        self, prunables: Sequence[Prunable], scores: Sequence[Tensor], fractions: Mapping[str, float]
    ) -> list[Tensor]:
        return [self._keep(s, fractions[p.name]) for p, s in zip(prunables, scores, strict=True)]

    def _keep(self, scores: Tensor, fraction: float) -> Tensor:
        if self._library is None:
            self._library = self._rule.learn([p.weight() for p in self.prunables])
        scores = scores.clamp(min=0)  # of what is removed already: -inf
        patterned = self._rule.fit(scores, self._library)
        strength = _KERNEL.pool(scores if self._rule.fixed else (scores * patterned).square())
        kept = drop_lowest(strength, self._kernels_to_drop(strength.numel(), fraction))
        return patterned & _KERNEL.spread(kept, scores.shape)

    def state(self) -> dict:
        return {"library": self._library and list(self._library)}

    def load_state(self, state: dict) -> None:
        self._library = state["library"] and tuple(state["library"])

    @property
    def patterns(self) -> Tensor | None:
        """The library, bool [patterns, 9]; None before the first selection."""
        return decode(self._library) if self._library else None


class NMSelector(SupportSelector):
    """N of every M inputs; a tensor's target says which N and M."""

    _rule: NM

    def __init__(self, plan: SelectionPlan, prunables: Sequence[Prunable], units: NM, average: Average):
        targets = targets_for({p.name: p.aliases for p in prunables}, plan.target)
        self._goals = {name: _goal(target) for name, target in targets.items()}
        super().__init__(plan, prunables, units, average)

    def _check(self, prunable):
        super()._check(prunable)
        if goal := self._goals[prunable.name]:
            self._rule.check_period(prunable.shape, goal.m)

    def count(self, group: str, masks: Masks) -> tuple[int, int]:
        """As :meth:`Selector.count`, of every M no more than are to be removed."""
        p, goal = self._by_name[group], self._goals[group]
        keep = p.mask_in(masks)
        if keep is None or not goal:
            return super().count(group, masks)
        left = keep.reshape(keep.shape[0], -1, goal.m, keep.shape[2:].numel()).sum(2)
        return keep.numel() - int(left.clamp(min=goal.n).sum()), keep.numel()

    def highest(self, group: str, fraction: float) -> float | None:
        """As :meth:`Selector.highest`; all can be removed that the rule is about."""
        return None

    def budget(self, group: str, fraction: float) -> int:
        """Weights removed (count)."""
        goal = self._goals[group]
        return self._by_name[group].parameter.numel() // goal.m * (goal.m - self._stay(goal, fraction)) if goal else 0

    def _stay(self, goal, fraction):
        """On the way to the goal, N steps down from M; never below the goal."""
        return max(goal.n, goal.m - math.floor(fraction * goal.m + 1e-9))

    def column_selector(self, group: str, fraction: float, masks: Masks) -> ByColumns:
        """As :meth:`TensorSelector.column_selector`."""
        goal, before = self._goals[group], self._matrix_in(self._by_name[group], masks)
        return OfEvery(self._stay(goal, fraction), goal.m, before) if goal else Share(int((~before).sum()), before)

    def keep_each(
        self, prunables: Sequence[Prunable], scores: Sequence[Tensor], fractions: Mapping[str, float]
    ) -> list[Tensor]:
        """As :meth:`SupportSelector.keep_each`; all tensors of one rule at once."""
        alike: dict[tuple, dict[str, Tensor]] = {}
        keeps: dict[str, Tensor] = {}
        for p, s in zip(prunables, scores, strict=True):
            if goal := self._goals[p.name]:
                alike.setdefault((self._stay(goal, fractions[p.name]), goal.m, s.dtype), {})[p.name] = s
        for (n, m, _), those in alike.items():
            keeps.update(zip(those, self._rule.keep_each(list(those.values()), n, m), strict=True))
        return [keeps[p.name] for p in prunables]


def _goal(target: Goal) -> NofM | None:
    """The N and M of a tensor's target; None where it is to lose nothing."""
    if not target:
        return None
    if not isinstance(target, NofM):
        raise ValueError(f"--prune-target {target}: units n:m need 2:4 or m4n2, e.g. --prune-target 2:4")
    return target
