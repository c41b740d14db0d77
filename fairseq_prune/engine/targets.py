"""What a run selects from, and how much by when."""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from ..pruning.budget import CostLeft, Deviation, Outliers, Threshold
from ..pruning.budget.cost import Costs
from ..pruning.budget.erdos_renyi import ErdosRenyi, erdos_renyi
from ..pruning.budget.given import Target
from ..pruning.budget.outliers import SPREAD
from ..pruning.masks import Masks, intersect
from ..pruning.prunable import Prunable, find_prunables
from ..pruning.selecting import count_removed, coupled_selector_of, overlap, selector_of
from ..pruning.selecting.selection import Selection
from ..pruning.selecting.selector import Selector, Values, units_of
from ..pruning.surgery.structure import Structure
from ..pruning.units import Weight, is_coupled, parse_units
from . import ranks
from .costs import costs_of
from .in_order import select_in_order
from .outliers import shares_by_outliers
from .plan import Plan
from .weight_norms import refuse_weight_norms

logger = logging.getLogger(__name__)


FindStructure = Callable[[], Structure]
FindTargets = Callable[[Selector], Target]  # -> what each group of the selector is to lose


class Targets:
    """The units of a model and the plan's targets for them.

    Args:
        model: ``nn.Module``.
        plan: :class:`~.plan.Plan`.
        find_structure: function -> :class:`~fairseq_prune.pruning.surgery.structure.Structure` of the model as it
            is; only called for coupled units.
        find_targets: function of a selector -> dict of group name -> fraction; None: those of the plan.

    Attributes:
        selector: :mod:`~fairseq_prune.pruning.selecting`; None if the plan removes nothing.
        structure: of coupled units; None for others.
        initial: dict of group name -> fraction that was removed before the first event.
        seed: of random choices.

    Raises:
        ValueError: a pattern matches nothing, a tensor has no such units, or a target no group.
    """

    def __init__(
        self,
        model: nn.Module,
        plan: Plan,
        find_structure: FindStructure | None = None,
        find_targets: FindTargets | None = None,
    ):
        self.plan, self.seed = plan, plan.seed
        self.initial: dict[str, float] = {}
        self._shares: dict[str, float] = {}  # by outliers, once they have been looked at
        self._model, self._find_structure = model, find_structure
        self._find_targets = find_targets or (lambda selector: selector.targets(plan.target))
        self.selector: Any = None  # a Selector; those of tensors can more
        self.structure: Structure | None = None
        self._goals: Target = None
        self._cost_left: CostLeft | None = None
        if plan.prunes:
            self.look()

    def _patterns(self):
        """Patterns of tensors to count and prune; of coupled units, patterns match vectors instead."""
        plan = self.plan
        coupled = plan.prunes and is_coupled(parse_units(plan.units))
        return ((), (), ()) if coupled else (plan.include, plan.skip, plan.only)

    @property
    def prunables(self) -> Sequence[Prunable]:
        """Tensors of which fractions are told; where units are coupled, all that the model has by now."""
        chosen = getattr(self.selector, "prunables", None)
        return find_prunables(self._model, *self._patterns()) if chosen is None else chosen

    def _look_at_coupled(self, units):
        self.structure = self._find_structure()
        parameters = dict(self._model.named_parameters())
        self.selector = coupled_selector_of(units)(self.plan, self.structure, units, ranks.average, parameters)

    @property
    def cuts_on_the_way(self) -> bool:
        """Whole units that are removed before the last event are cut out at once, as far as shapes can change."""
        plan, plain = self.plan, all(isinstance(goal, float) for goal in self._goals.values())
        at_once = plan.approach is None and plan.rewind is None and plan.rounding == "nearest"
        return plain and at_once and getattr(self.selector, "cuts_on_the_way", False)

    def look_again(self, cut: bool) -> None:
        """Find what is left to choose from, if some was cut out on the way; targets stay fractions of the whole."""
        if cut and self.cuts_on_the_way:
            before = self.selector
            self._look_at_coupled(parse_units(self.plan.units))
            self.selector.look_again(before)

    def look(self) -> None:
        """Find what there is to choose from, in the shapes that the model has now."""
        units: Any = parse_units(self.plan.units)
        if is_coupled(units):
            self._look_at_coupled(units)
        else:
            self.selector = selector_of(units, self.plan.scope)(self.plan, self.prunables, units, ranks.average)
            for name, reason in self.selector.left_out.items():
                logger.info(f"--prune-units {self.plan.units}: {name} stays whole: {reason}")
            refuse_weight_norms(self.plan, self.prunables)
        self._goals = self._find_targets(self.selector)
        self._look_at_shapes()
        self._look_at_costs()
        self._refuse_unreachable()
        for target in self._goals.values():
            if isinstance(target, Deviation) and not isinstance(units, Weight):
                raise ValueError(f"--prune-target {target}: is for single weights; give e.g. --prune-target 0.5")

    def _look_at_costs(self):
        """What the model costs, where the target is a cost, if that is known before it has seen any data."""
        self._cost_left = next((goal for goal in self._goals.values() if isinstance(goal, CostLeft)), None)
        self._costs = None if self._cost_left is None else self._find_costs()
        if self._costs:
            self._cost_left.check(self._costs, self.structure, [v for vs in self.selector.groups.values() for v in vs])

    def _find_costs(self) -> Costs | None:
        left = self._cost_left
        return left.find_costs(left.of) if left.find_costs else costs_of(self._model, left.of)

    def _look_at_shapes(self):
        """Fractions of layers that share one by their shapes."""
        for wanted in {goal for goal in self._goals.values() if isinstance(goal, ErdosRenyi)}:
            groups = [group for group, goal in self._goals.items() if goal == wanted]
            shapes = {group: torch.Size(self.selector.groups[group][0].shape) for group in groups}
            self._goals = {**self._goals, **erdos_renyi(shapes, wanted.fraction)}

    def _refuse_unreachable(self):
        """Targets that would leave a layer without units."""
        fractions = {
            g: t for g, t in self._goals.items() if not isinstance(t, (Threshold, Deviation, Outliers, CostLeft))
        }
        highest = {group: self.selector.highest(group, fraction) for group, fraction in fractions.items()}
        highest = {group: fraction for group, fraction in highest.items() if fraction is not None}
        if highest:
            least = min(highest, key=highest.get)
            most = math.floor(highest[least] * 1e4) / 1e4
            else_skip = "skip it or " if len(self.selector.groups) > 1 else ""
            raise ValueError(
                f"{self.plan.asked_by} {self._goals[least]}: at most {most} of {least!r} can be removed: one unit of "
                f"every layer stays; {else_skip}give e.g. --prune-target {most}"
            )

    def unit_sums(self, values: Values) -> dict[str, Tensor]:
        """Sums over the units of every layer, [units], of a dict of parameter name -> tensor, as evidence."""
        layers = (layer for members in self.selector.layers.values() for layer in members)
        return {units_of(layer): self.selector.sum_over(layer, values) for layer in layers}

    @property
    def total(self) -> int:
        """Weights of all prunable tensors as they are (count)."""
        return count_removed(self.prunables, {})[1]

    def begin(self, masks: Masks, gather: Callable[[str], Any] | None = None) -> None:
        """Before the first event: the way to the target starts from what is removed by then.

        Args:
            masks: in force.
            gather: function of a kind of evidence -> evidence; called where outliers say how much is removed.

        Raises:
            ValueError: more than that is removed already.
        """
        if by_outliers := {g: goal for g, goal in self._goals.items() if isinstance(goal, Outliers)}:
            self._shares = shares_by_outliers(self.selector.prunables, by_outliers, gather("inputs"))
            self.check(masks)
        for group in self.selector.groups:
            removed, total = self.selector.count(group, masks)
            self.initial[group] = removed / total

    def check(self, masks: Masks) -> None:
        """Refuse targets below what is removed already.

        Raises:
            ValueError: there is one; removed weights are never revived.
        """
        self.selector.check()
        fractions = self._fractions(masks)
        for group in self.selector.groups:
            removed, total = self.selector.count(group, masks)
            if removed > self.selector.budget(group, fractions[group]):
                asked, more = f"{self.plan.asked_by} {self._goals[group]}", "give at least that"
                if self._cost_left:
                    asked, more = self._cost_left.option, "more than that takes; give less"
                raise ValueError(
                    f"{asked}: {removed / total:.4f} of {group!r} is removed already; "
                    f"{more}, or keep it with --prune-method none"
                )

    def select(self, event: int, masks: Masks, evidence: Any = None) -> Selection:
        """What is removed at an event.

        Args:
            event: its number, from 1.
            masks: in force, dict of parameter name -> bool; what is removed stays so.
            evidence: dict of parameter name -> tensor to be scored instead of the parameter; or, where layers are
                pruned in order, as of :func:`~.in_order.select_in_order`.

        Returns:
            :class:`~fairseq_prune.pruning.selecting.Selection`, with all masks that are then in force.
        """
        if self.plan.in_order:
            return select_in_order(self, dict(self._model.named_parameters()), event, masks, evidence)
        if evidence is None:
            evidence = self.selector.inherited.evidence(dict(self._model.named_parameters()))
        fractions = self.fractions(event, masks, evidence)
        return self.intersected(self.selector.select(fractions, masks, self._generator(), evidence), masks)

    def fractions(self, event: int, masks: Masks, evidence: Values | None = None) -> dict[str, float]:
        """What each group has lost after an event, dict of group name -> fraction; arguments as :meth:`select`."""
        return {
            group: self.plan.schedule.fraction_at(event, self.initial[group], fraction)
            for group, fraction in self._fractions(masks, evidence).items()
        }

    def select_one(self, group: str, fraction: float, masks: Masks, evidence: Values) -> Selection:
        """What is removed of one group, by its evidence; further arguments as :meth:`select`."""
        return self.selector.select({group: fraction}, masks, self._generator(), evidence)

    def intersected(self, selection: Selection, masks: Masks) -> Selection:
        """A selection with all masks that are in force with it."""
        return replace(selection, masks=intersect(masks, selection.masks, self.prunables))

    def _generator(self):
        return torch.Generator().manual_seed(self.seed)

    def _fractions(self, masks, evidence=None):
        """What every group is to lose in the end, dict of group name -> fraction."""
        if self._cost_left is None:
            return {group: self._fraction(group, masks, evidence) for group in self.selector.groups}

        def kept(fraction):
            fractions = dict.fromkeys(self.selector.groups, fraction)
            return self.selector.select(fractions, masks, self._generator(), evidence).keep

        self._costs = self._costs or self._find_costs()
        if self._costs is None:
            raise ValueError(
                f"{self._cost_left.option}: what this model multiplies is not known; give e.g. --prune-params-left 0.5"
            )
        return dict.fromkeys(self.selector.groups, self._cost_left.fraction(self._costs, self.structure, kept))

    def _fraction(self, group, masks, evidence=None):
        target = self._goals[group]
        if isinstance(target, Outliers):  # before they are looked at, as much as may be
            return self._shares.get(group, min(target.fraction + SPREAD, 0.999))
        if isinstance(target, Threshold):
            return self.selector.share_within(group, target, masks, self._generator(), evidence)
        return self.selector.share_below(group, target, masks) if isinstance(target, Deviation) else target

    def overlap(self, selection: Selection) -> float | None:
        """Fraction of what is removed that the run which says how many removed, too; None where that is not known."""
        inherited = self.selector.inherited
        if inherited.selection is None or inherited.binding:
            return None
        return overlap(self.selector, self.layers, selection, inherited.selection)

    @property
    def layers(self) -> list[str]:
        """Names of the layers that are to lose units."""
        fractions = {} if self._cost_left else self._fractions({})
        return [
            layer
            for group, members in self.selector.layers.items()
            for layer in members
            if isinstance(self._goals[group], (Threshold, CostLeft)) or self.selector.budget(group, fractions[group])
        ]

    def state(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "initial": dict(self.initial),
            "shares": dict(self._shares),
            "seed": self.seed,
            **(self.selector.state() if self.selector else {}),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Take up the position of an interrupted run."""
        self.initial, self.seed = state["initial"], state["seed"]
        if any(state.get("gone", {}).values()):
            self._look_at_coupled(parse_units(self.plan.units))
        self._shares = state.get("shares", {})  # files of earlier versions have none
        self.selector.load_state(state)
