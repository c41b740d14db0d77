"""Selecting units that belong to a single tensor each."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ..budget import targets_for
from ..budget.counting import EVERYTHING, ROUNDINGS, highest
from ..budget.deviation import Deviation
from ..budget.given import Target
from ..budget.threshold import Threshold
from ..calibration.inputs import as_matrix
from ..importance import IMPORTANCES
from ..masks import Masks
from ..prunable import Prunable
from ..scope import SCOPES
from ..units.base import Units
from .by_columns import ByColumns, Share
from .fitting import fitting
from .groups import decide
from .selection import Inherited, Selection, count_removed
from .selector import Average, SelectionPlan, Selector, Values, unit_key


class TensorSelector(Selector):
    """Selects units that belong to a single tensor each.

    Args:
        plan: with ``units``, ``importance``, ``scope``, ``stages`` and ``rounding``.
        prunables: list of :class:`~..prunable.Prunable`.
        units: :class:`~..units.base.Units`.
        average: function of scores -> scores, over ranks.

    Attributes:
        prunables: those that have such units.
        left_out: the others, dict of name -> why not.

    Raises:
        ValueError: no tensor has such units, or none of those that the user named, or the stages do not fit.
    """

    inherited = Inherited()

    def __init__(self, plan: SelectionPlan, prunables: Sequence[Prunable], units: Units, average: Average):
        self._units, self._average = units, average
        self._rounding, self._own_rankings = ROUNDINGS[plan.rounding], plan.scope in ("layer", "output")
        self._importance = IMPORTANCES[plan.importance]
        self.prunables, self.left_out = fitting(plan, prunables, self._check)
        self._by_name = {p.name: p for p in self.prunables}
        self.groups: dict[str, list[Prunable]] = SCOPES[plan.scope](self.prunables, plan.stages)

    def _check(self, prunable):
        self._units.check(prunable.shape)

    def count(self, group: str, masks: Masks) -> tuple[int, int]:
        """(removed, total) of a group (counts of weights)."""
        return count_removed(self.groups[group], masks)

    def targets(self, target: Target) -> Target:
        if self._own_rankings:
            return targets_for({p.name: p.aliases for p in self.prunables}, target)
        return targets_for(self.groups.keys(), target)

    def share_below(self, group: str, deviation: Deviation, masks: Masks) -> float:
        """Fraction of a group that is removed or below a :class:`~..budget.Deviation` of its layer's survivors."""
        below = 0
        for p in self.groups[group]:
            keep = p.mask_in(masks)
            weights = (p.weight() if keep is None else p.weight()[keep]).float()
            below += p.parameter.numel() - weights.numel() + deviation.count_below(weights)
        return below / self.count(group, {})[1]

    def share_within(
        self,
        group: str,
        threshold: Threshold,
        masks: Masks,
        generator: torch.Generator,
        evidence: Values | None = None,
    ) -> float:
        removed = 0
        for p in self.groups[group]:
            stays, keep = self._score(p, generator, evidence) > threshold.limit, p.mask_in(masks)
            stays = self._units.spread(stays, p.shape)
            removed += stays.numel() - int((stays if keep is None else stays & keep).sum())
        total = self.count(group, {})[1]
        return min(removed, total - 1) / total

    def budget(self, group: str, fraction: float) -> int:
        """Weights that a fraction of a group amounts to (count), in whole units if all are of one size.

        One unit of a group is kept.
        """
        units, size = self._sizes(group)
        left = 1 if fraction < EVERYTHING else 0
        return min(self._rounding(fraction, units), units - left) * size

    def highest(self, group: str, fraction: float) -> float | None:
        return highest(fraction, self._sizes(group)[0])

    def _sizes(self, group):
        """(number of units, weights in each) of a group; single weights if sizes differ."""
        members = self.groups[group]
        sizes = {self._units.sizes(p.shape) for p in members}
        size = sizes.pop() if all(isinstance(s, int) for s in sizes) and len(sizes) == 1 else 1
        return count_removed(members, {})[1] // size, size

    def select(
        self, fractions: Mapping[str, float], masks: Masks, generator: torch.Generator, evidence: Values | None = None
    ) -> Selection:
        budgets = {group: self.budget(group, fraction) for group, fraction in fractions.items()}
        groups = [(members, budgets[group]) for group, members in self.groups.items() if budgets.get(group)]
        keeps, nans = decide(groups, self._units, lambda p: self._compared(p, masks, generator, evidence), masks)
        chosen = {}
        for p in (p for members, _ in groups for p in members):
            chosen.update(p.split_mask(keeps[p.name]))
        return Selection(chosen, nans=nans)

    def _compared(self, prunable, masks, generator, evidence):
        """What units of a group are ranked by, [units]: their scores; subclasses may compare smaller groups first."""
        return self._score(prunable, generator, evidence)

    def column_selector(self, group: str, fraction: float, masks: Masks) -> ByColumns:
        """Selects single weights while a tensor is pruned column by column; arguments as :meth:`select`."""
        p = self._by_name[group]
        return Share(self.budget(group, fraction), self._matrix_in(p, masks))

    def _matrix_in(self, prunable, masks):
        """Weights that are not removed, bool [outputs, columns]."""
        keep = prunable.mask_in(masks)
        return as_matrix(
            torch.ones(prunable.shape, dtype=torch.bool, device=prunable.parameter.device) if keep is None else keep
        )

    def _score(self, prunable, generator, evidence):
        return self._average(self._importance(self._evidence(prunable, evidence), self._units, generator))

    def _evidence(self, prunable, evidence):
        if not evidence:
            return prunable.weight()
        if (units := evidence.get(unit_key(prunable.name))) is not None:
            return self._units.spread(units, prunable.shape)
        return prunable.arrange(evidence[prunable.name])

    @property
    def layers(self) -> dict[str, list[str]]:
        return {group: [p.name for p in members] for group, members in self.groups.items()}

    def magnitudes(self, layer: str) -> Tensor:
        return self._average(self._units.pool(self._by_name[layer].weight().float().abs()))

    def norms(self, layer: str) -> Tensor:
        return self.sum_over(layer, {layer: self._by_name[layer].parameter.detach().abs()})

    def removed(self, layer: str, selection: Selection) -> Tensor:
        p = self._by_name[layer]
        keep = p.mask_in(selection.masks)
        kept = torch.ones(p.shape, device=p.parameter.device) if keep is None else keep.float()
        return self._units.pool(kept) == 0

    def spread(self, layer: str, values: Tensor) -> dict[str, Tensor]:
        p = self._by_name[layer]
        return {layer: p.store(self._units.spread(values, p.shape))}

    def spread_on_vectors(self, layer: str, values: Tensor) -> dict[str, Tensor]:
        """As :meth:`Selector.spread_on_vectors`; units of tensors own none."""
        return {}

    @property
    def sides(self) -> tuple[Selector, ...]:
        return (self,)

    def state(self) -> dict:
        return {}

    def load_state(self, state: dict) -> None:
        """As :meth:`Selector.load_state`."""

    def sum_over(self, layer: str, values: Values) -> Tensor:
        p = self._by_name[layer]
        means = self._units.pool(p.arrange(values[layer]).float())
        sizes = self._units.sizes(p.shape)
        if torch.is_tensor(sizes):
            return means * sizes.to(means)
        return means if sizes == 1 else means * sizes

    @property
    def owned(self) -> set[str]:
        return {name for p in self.prunables for name in p.mask_names}
