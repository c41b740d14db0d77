"""Selecting coupled units, which own slices of several tensors."""

import copy
import fnmatch
import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ..budget import targets_for
from ..budget.counting import ROUNDINGS, highest
from ..budget.given import Target
from ..budget.threshold import Threshold
from ..importance import IMPORTANCES
from ..masks import Masks
from ..registry import closest
from ..surgery.structure import AXES, Coupled, Structure, masks_without, unit_rows
from ..units import Row
from ..units.coupled import CoupledUnits
from .ranking import drop_lowest_within
from .selection import Inherited, Selection
from .selector import Average, SelectionPlan, Selector, Values, unit_key


class CoupledSelector(Selector):
    """Selects coupled units. Groups are single vectors (scope layer) or all of them (scope global).

    Arguments as :class:`~.tensors.TensorSelector`, and:

    Args:
        structure: :class:`~..surgery.structure.Structure`.
        parameters: dict of name -> parameter.

    Attributes:
        gone: dict of group name -> what was cut out at earlier events, in what its budget counts.
        cuts_on_the_way: what is removed before the last event may be cut out at that event.

    Raises:
        ValueError: there are no such units, or a pattern matches none.
    """

    inherited = Inherited()
    cuts_on_the_way = True

    def __init__(
        self,
        plan: SelectionPlan,
        structure: Structure,
        units: CoupledUnits,
        average: Average,
        parameters: Mapping[str, nn.Parameter],
    ):
        self._side, self._rounding, self._average = units.side, ROUNDINGS[plan.rounding], average
        self._importance, self._parameters, self._structure = IMPORTANCES[plan.importance], parameters, structure
        kinds = [v for v in structure.vectors.values() if v.kind in units.kinds]
        if not kinds:
            known = ", ".join(sorted({v.kind for v in structure.vectors.values()})) or "none at all"
            raise ValueError(
                f"--prune-units {plan.units}: the model has no such coupled units; it has {known}; others are e.g. row"
            )
        for option, patterns in (("--prune-skip", plan.skip), ("--prune-only", plan.only)):
            _check_patterns(option, patterns, kinds)
        members = [v for v in kinds if not plan.only or any(_matches(v, pattern, units.side) for pattern in plan.only)]
        members = [v for v in members if not any(_matches(v, pattern) for pattern in plan.skip)]
        if not members:
            raise ValueError(f"--prune-skip '{','.join(plan.skip)}' leaves nothing to prune")
        if plan.include:
            raise ValueError(f"--prune-include {','.join(plan.include)}: coupled units take along all they own")
        if plan.scope not in ("global", "layer"):
            raise ValueError(
                f"--prune-scope {plan.scope}: coupled units are compared by global or layer, e.g. --prune-scope layer"
            )
        self.groups: dict[str, list[Coupled]] = (
            {"all": members} if plan.scope == "global" else {v.name: [v] for v in members}
        )
        self.gone: dict[str, int] = {}
        self._here = {group: sum(v.length for v in vectors) for group, vectors in self.groups.items()}
        self._device: torch.device | None = None

    def _settle(self) -> None:
        """Move the structure's indices, which every update needs, to the parameters' present device."""
        device = next(iter(self._parameters.values())).device
        if device != self._device:
            self._device, self._structure = device, self._structure.on(device)

    def count(self, group: str, masks: Masks) -> tuple[int, int]:
        """(removed, total) of a group (counts of units); units that were cut out before count as removed."""
        masked = sum(int((~self._alive(v, masks)).sum()) for v in self.groups[group])
        return masked + self.gone.get(group, 0), self._total(group)

    def _total(self, group):
        return self._here[group] + self.gone.get(group, 0)

    def targets(self, target: Target) -> Target:
        """As :meth:`Selector.targets`; patterns may also match the names of the tensors on a vector's side."""
        names = {name: getattr(v, self._side) for name, (v, *more) in self.groups.items() if not more}
        return targets_for(names if len(names) == len(self.groups) else self.groups.keys(), target)

    def budget(self, group: str, fraction: float) -> int:
        """Units that a fraction of a group amounts to (count)."""
        together = math.gcd(*(v.heads for v in self.groups[group]))
        return together * self._rounding(fraction, self._total(group) // together)

    def highest(self, group: str, fraction: float) -> float | None:
        """As :meth:`Selector.highest`; one unit of every vector is kept, or of each of its rankings."""
        return highest(fraction, self._total(group), sum(v.heads for v in self.groups[group]))

    def share_within(
        self,
        group: str,
        threshold: Threshold,
        masks: Masks,
        generator: torch.Generator,
        evidence: Values | None = None,
    ) -> float:
        """As :meth:`Selector.share_within`, in units; the best of every vector is kept."""
        scores = torch.cat([self._guarded(v, masks, generator, evidence) for v in self.groups[group]])
        return (int((scores <= threshold.limit).sum()) + self.gone.get(group, 0)) / self._total(group)

    def select(
        self, fractions: Mapping[str, float], masks: Masks, generator: torch.Generator, evidence: Values | None = None
    ) -> Selection:
        """As :meth:`Selector.select`. One unit of every vector is kept, or of each of its rankings."""
        keep: dict[str, Tensor] = {}
        for group, members in self.groups.items():
            scores = [self._guarded(v, masks, generator, evidence) for v in members]
            budget = self.budget(group, fractions[group]) - self.gone.get(group, 0)
            budget = min(budget, sum(v.length - v.heads for v in members))
            kept = _drop_evenly(scores, [v.heads for v in members], budget)
            keep.update(zip((v.name for v in members), kept, strict=True))
        shapes = {name: p.shape for name, p in self._parameters.items()}
        return Selection(masks_without(self._structure, shapes, keep), keep)

    def _guarded(self, vector, masks, generator, evidence):
        """Scores that rank removed units below everything, and the best unit above everything."""
        scores = self._scores(vector.name, generator, evidence)
        scores = scores.masked_fill(~self._alive(vector, masks), -torch.inf)
        scores[scores.argmax()] = torch.inf
        return scores

    def _scores(self, layer: str, generator: torch.Generator, evidence: Values | None) -> Tensor:
        """Scores of the units of a vector, float [units]."""
        return self._average(self._importance(self._rows(layer, evidence), Row(), generator))

    def _rows(self, layer, evidence=None):
        self._settle()
        if evidence and (units := evidence.get(unit_key(layer))) is not None:
            return units.unsqueeze(1)
        values = evidence or {name: parameter.detach() for name, parameter in self._parameters.items()}
        return unit_rows(self._structure, layer, self._side, values.__getitem__)

    @property
    def sides(self) -> tuple[Selector, ...]:
        """As :attr:`Selector.sides`: by what writes the units and by what reads them (no weight reads a query)."""
        self._settle()
        names = [v.name for members in self.groups.values() for v in members]
        sides = [side for side in AXES if all(self._structure.slices(name, side) for name in names)]
        views = tuple(copy.copy(self) for _ in sides)
        for view, side in zip(views, sides, strict=True):
            view._side = side
        return views

    def count_cut_since(self, before: "CoupledSelector") -> None:
        """Count the units that have been cut out since another selector was built for the same model."""
        self.gone = {group: before._total(group) - here for group, here in self._here.items()}

    def state(self) -> dict:
        return {"gone": dict(self.gone)}

    def load_state(self, state: dict) -> None:
        """As :meth:`Selector.load_state`."""
        self.gone = dict(state.get("gone", {}))  # files of earlier versions cut at the end only

    @property
    def layers(self) -> dict[str, list[str]]:
        """As :attr:`Selector.layers`; a layer is a vector."""
        return {group: [v.name for v in members] for group, members in self.groups.items()}

    def magnitudes(self, layer: str) -> Tensor:
        return self._average(self._rows(layer).float().abs().mean(1))

    def norms(self, layer: str) -> Tensor:
        """As :meth:`Selector.norms`, of what is scored."""
        return self._rows(layer).float().abs().sum(1)

    def removed(self, layer: str, selection: Selection) -> Tensor:
        return ~selection.keep[layer]

    def spread(self, layer: str, values: Tensor) -> dict[str, Tensor]:
        """As :meth:`Selector.spread`; along the other axes, the tensors have one element."""
        self._settle()
        spread: dict[str, Tensor] = {}
        for entry, owner in self._structure.slices(layer, self._side):
            part = owner.over(values, self._parameters[entry].shape, otherwise=0.0)
            spread[entry] = spread[entry] + part if entry in spread else part
        return spread

    def spread_on_vectors(self, layer: str, values: Tensor) -> dict[str, Tensor]:
        """As :meth:`Selector.spread_on_vectors`: over all vectors, of biases and norms, that the units own."""
        return {
            entry: owner.along(values, otherwise=0.0)
            for entry, owners in self._structure.table.items()
            for owner in owners
            if owner.vector == layer and entry in self._parameters and self._parameters[entry].dim() == 1
        }

    def _alive(self, vector, masks):
        """Units that are not removed: some weight or bias that writes them is left. Bool [units]."""
        device = self._parameters[vector.writers[0]].device
        alive = torch.zeros(vector.length, dtype=torch.bool, device=device)
        for entry, owner in self._structure.producing(vector.name):
            if entry in self._parameters:
                keep = masks.get(entry)
                size = self._parameters[entry].shape[owner.axis]
                left = torch.ones(size) if keep is None else keep.movedim(owner.axis, 0).reshape(size, -1).any(1)
                alive |= owner.any_of(left.to(alive), vector.length)
        return alive

    def sum_over(self, layer: str, values: Values) -> Tensor:
        return self._rows(layer, values).float().sum(1)

    @property
    def owned(self) -> set[str]:
        return {entry for entry in self._structure.table if entry in self._parameters}


def _drop_evenly(scores, heads, budget):
    """Drop ``budget`` units, equally many from each ranking (head) of a vector: list of bool tensors, True = keep."""
    rows = [s.view(count, -1) for s, count in zip(scores, heads, strict=True)]
    lowest = torch.finfo(rows[0].dtype).min  # of what is removed, beside which the best can stand
    ranked = [row.clamp(min=lowest).sort(dim=1, stable=True) for row in rows]
    means = [values.mean(0) for values, _ in ranked]
    sizes = torch.cat(
        [torch.full_like(mean, len(row), dtype=torch.long) for mean, row in zip(means, rows, strict=True)]
    )
    kept = drop_lowest_within(torch.cat(means), sizes, budget).split([len(mean) for mean in means])
    return [stay[order.argsort(dim=1)].flatten() for stay, (_, order) in zip(kept, ranked, strict=True)]


def _matches(vector, pattern, *sides):
    names = (name for side in sides or ("writers", "readers") for name in getattr(vector, side))
    return any(fnmatch.fnmatchcase(name, pattern) for name in (vector.name, *names))


def _check_patterns(option, patterns, vectors):
    for pattern in patterns:
        if not any(_matches(v, pattern) for v in vectors):
            hint = closest(pattern, [v.name for v in vectors])
            raise ValueError(f"{option} {pattern}: matches no layer with such units{hint}; e.g. {vectors[0].name!r}")
