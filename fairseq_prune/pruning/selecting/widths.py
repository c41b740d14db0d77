"""Selecting widths: units with connectivity, until a given part of the model's parameters is left."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from ..budget.given import Target
from ..budget.widths import BUDGETS, Widths
from ..masks import Masks
from ..registry import Registry
from ..surgery.structure import Coupled, Structure, evenly
from ..surgery.table import Table, lengths_of, unit_norms
from ..units import Row, Width
from .coupled import CoupledSelector
from .selection import Selection
from .selector import Average, SelectionPlan, Values

Rankings = list[tuple[Sequence[Coupled], int, int]]  # vectors ranked together, rankings, units kept in each

RANKINGS: Registry[Callable[[Sequence[Coupled], Widths], Rankings]] = Registry("kind of vector")


@RANKINGS.add("residual", "qk", "vo")
def each_alone(vectors: Sequence[Coupled], widths: Widths) -> Rankings:
    """Every vector by itself, and every head of it by itself.

    Args:
        vectors: list of :class:`~..surgery.structure.Coupled` of one kind.
        widths: :class:`~fairseq_prune.pruning.budget.widths.Widths`.

    Returns:
        list of (vectors ranked together, rankings they are split into, units kept in each ranking).
    """
    return [([v], v.heads, widths.lengths[v.name] // v.heads) for v in vectors]


@RANKINGS.add("neuron")
def all_together(vectors: Sequence[Coupled], widths: Widths) -> Rankings:
    """One ranking of all vectors, whose lengths may come out different. As :func:`each_alone`."""
    return [(vectors, 1, widths.ffn_units)]


class WidthSelector(CoupledSelector):
    """Selects the widths of a model with connectivity, all of them in one group.

    The target is the part of the parameters to be removed, or, as ``compression_rate``, the part to be kept; it is
    solved for the widths. Fractions of the group are parts of the way from the original widths to these, and so are
    its counts. Vectors of other kinds are not changed, and what they have lost before is part of what is to be removed.

    Arguments as :class:`CoupledSelector`.

    Raises:
        ValueError: the model has no connectivity, it cannot become that small, or patterns are given.
    """

    multiplies, cuts_on_the_way = True, False

    def __init__(
        self,
        plan: SelectionPlan,
        structure: Structure,
        units: Width,
        average: Average,
        parameters: Mapping[str, nn.Parameter],
    ):
        if not structure.connectivity:
            asked = plan.asked("units")
            raise ValueError(f"{asked}: needs an architecture with connectivity, e.g. --arch srp_transformer")
        super().__init__(plan, structure, units, average, parameters)
        for option, patterns in (("--prune-skip", plan.skip), ("--prune-only", plan.only)):
            if patterns:
                raise ValueError(f"{option} {','.join(patterns)}: is not for widths; e.g. --prune-units width:qk+vo")
        self._members = self.groups["all"]
        originals = lengths_of(structure.table, structure.shapes)
        self._originals = [replace(v, length=originals[v.name]) for v in structure.vectors.values()]
        self._kinds = plan.asked("units")
        self._rate, self._budget, self._asked = _read_target(plan.target)
        self._widths(1.0, {})

    def _widths(self, progress: float, others: Mapping[str, int]) -> Widths:
        """The widths that stay after a part of the way, :class:`~..budget.widths.Widths`."""
        try:
            return self._budget(
                self._structure.shapes, self._structure.table, self._originals, self._rate, others, progress
            )
        except ValueError as error:
            told = str(error) if str(error).startswith(self._asked) else f"{self._asked}, or {error}"
            raise ValueError(told) from None

    def count(self, group: str, masks: Masks) -> tuple[int, int]:
        """(0, 1): counts are parts of the way from the original widths to the target, which begins at its start."""
        return 0, 1

    def targets(self, target: Target) -> Target:
        """All of the way."""
        return {"all": 1.0}

    def budget(self, group: str, fraction: float) -> int:
        """1: whatever was cut before, no target counts as below what is removed."""
        return 1

    def check(self) -> None:
        """Refuse vectors of some kinds where the others have not been cut to what the rate leaves of them.

        Raises:
            ValueError: as a second stage without the first.
        """
        left, lengths = self._others(), self._widths(1.0, self._others()).lengths
        wide = [v.name for v in self._originals if v.kind == "residual" and left.get(v.name, 0) > lengths[v.name]]
        if wide:
            raise ValueError(
                f"{self._kinds}: {self._asked} needs the residual widths cut before, and {wide[0]} has its "
                f"{left[wide[0]]} units; start from such weights, e.g. --finetune-from-model "
                "checkpoints/stage1/checkpoint_last.pt, or cut all units, e.g. --prune-units width"
            )

    def highest(self, group: str, fraction: float) -> float | None:
        """As :meth:`~.selector.Selector.highest`; a rate that leaves too little is refused in the beginning."""
        return None

    def select(
        self,
        fractions: Mapping[str, float],
        masks: Masks,
        generator: torch.Generator,
        evidence: Values | None = None,
    ) -> Selection:
        """As :meth:`~.selector.Selector.select`; what is removed gets no masks, but multipliers of 0."""
        alive = {name: c.vector != 0 for name, c in self._structure.connectivity.items()}
        widths = self._widths(fractions["all"], self._others())
        scores = {v.name: self._scores(v.name, generator, evidence) for v in self._members}
        sizes = {v.name: unit_norms(self._structure.table, self._parameters, v.name) for v in self._members}
        removed = select(scores, widths, self._members, alive, sizes)
        return Selection({}, {name: ~units for name, units in removed.items() if units.any()})

    def _scores(self, layer: str, generator: torch.Generator, evidence: Values | None) -> Tensor:
        """Scores of units, float [units]: by evidence of their multipliers, else by the weights that write them."""
        gathered = (evidence or {}).get(layer)
        values = self._rows(layer, evidence) if gathered is None else gathered[:, None]
        return self._average(self._importance(values, Row(), generator))

    def _others(self) -> dict[str, int]:
        """Units left of the vectors that are not to be cut, dict of vector name -> count."""
        chosen, left = {v.name for v in self._members}, self._structure.connectivity
        return {v.name: int(left[v.name].vector.count_nonzero()) for v in self._originals if v.name not in chosen}

    @property
    def table(self) -> Table:
        """Everything that is removed with the units, as of :class:`~..surgery.structure.Structure`."""
        return self._structure.table

    def shrink(self, removed: Mapping[str, Tensor], value: float) -> None:
        """Multiply units by a value below 1, for a dict of vector name -> bool [units]."""
        for vector, units in removed.items():
            self._structure.connectivity[vector].shrink(units, value)

    def remaining(self) -> dict[str, Tensor]:
        """Units that a cut keeps, of all vectors: dict of vector name -> bool [units]. Heads stay equally wide."""
        left = self._structure.connectivity
        return {v.name: ~evenly(left[v.name].vector == 0, v.heads) for v in self._originals}


def _read_target(target: Mapping) -> tuple[float, Callable[..., Widths], str]:
    """(Rate, budget, option that says so) of a plan's target."""
    if "compression_rate" in target:
        rate = target["compression_rate"]
        return rate, BUDGETS[target["srp_budget"]], f"--compression-rate {rate}"
    ((pattern, fraction),) = target.items() if len(target) == 1 else [(None, None)]
    if pattern != "*" or type(fraction) is not float:
        raise ValueError("--prune-target: widths take one fraction of the model's parameters, e.g. --prune-target 0.8")
    return round(1 - fraction, 12), BUDGETS["exact"], f"--prune-target {fraction}"


def select(
    scores: Mapping[str, Tensor],
    widths: Widths,
    vectors: Sequence[Coupled],
    alive: Mapping[str, Tensor],
    sizes: Mapping[str, Tensor],
) -> dict[str, Tensor]:
    """Select the units to remove, exactly as many as the widths say, whatever the ties.

    The lowest scores are removed; among equal ones the smallest sizes, then the first in order. Source:
    SRP, but its threshold compare keeps ties.

    Args:
        scores: dict of vector name -> importance [present length], any float dtype; higher means
            keep. Not modified.
        widths: units to keep, :class:`~fairseq_prune.pruning.budget.widths.Widths`.
        vectors: those of this stage, :class:`~..surgery.structure.Coupled`.
        alive: dict of vector name -> bool tensor [present length]; False = already removed.
        sizes: dict of vector name -> norm of each unit's weights, float tensor [present length].

    Returns:
        dict of vector name -> bool tensor [present length], True = removed; never a unit that is
        already removed. Nothing is removed where fewer are alive than wanted.

    Raises:
        ValueError: a score is NaN.
    """
    _check(scores, vectors)
    by_kind: dict[str, list[Coupled]] = {}
    for vector in vectors:
        by_kind.setdefault(vector.kind, []).append(vector)
    removed: dict[str, Tensor] = {}
    for kind, members in by_kind.items():
        for ranked, rankings, keep in RANKINGS[kind](members, widths):
            names = [v.name for v in ranked]
            lengths = [scores[name].numel() for name in names]
            score, size, left = (
                torch.cat([given[name] for name in names]).view(rankings, -1) for given in (scores, sizes, alive)
            )
            lowest = _all_but_the_best(score, size, left, keep)
            removed.update(zip(names, lowest.view(-1).split(lengths), strict=True))
    return {v.name: removed[v.name] for v in vectors}


def _all_but_the_best(scores: Tensor, sizes: Tensor, alive: Tensor, keep: int) -> Tensor:
    """Mark the living units beyond the ``keep`` best of every row; all are [rows, units]."""
    order = sizes.argsort(dim=1, stable=True)
    for values in (scores, alive.to(torch.uint8)):  # the most telling key last
        order = order.gather(1, values.gather(1, order).argsort(dim=1, stable=True))
    lowest = torch.arange(order.shape[1], device=order.device) < order.shape[1] - keep
    return torch.zeros_like(alive).scatter(1, order, lowest.expand_as(order)) & alive


def _check(scores: Mapping[str, Tensor], vectors: Sequence[Coupled]) -> None:
    for v in vectors:
        if scores[v.name].isnan().any():
            count = int(scores[v.name].isnan().sum())
            raise ValueError(f"{count} of {scores[v.name].numel()} scores of {v.name} are NaN; did the loss diverge?")
