"""A model's units, bound to a plan: what can be removed, and how much of it by which event."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NoReturn, cast

import torch
from torch import Tensor, nn

from ..pruning.budget import CostLeft
from ..pruning.masks import Masks
from ..pruning.prunable import Prunable, find_prunables, intersect
from ..pruning.selecting import CoupledSelector, count_removed, coupled_selector_of, overlap, selector_of
from ..pruning.selecting.fitting import fitting
from ..pruning.selecting.selection import Inherited, Selection
from ..pruning.selecting.selector import Selector, Values, unit_key
from ..pruning.surgery.structure import Structure
from ..pruning.units import is_coupled, parse_units
from . import ranks
from .goals import CostGoals, Goals
from .model_info import BY_FAMILY, ModelInfo
from .plan import Plan
from .weight_norms import check_weight_norm

logger = logging.getLogger(__name__)


def no_data(*asked: object) -> NoReturn:
    """Used instead of a function that gathers evidence, where a model is pruned without data.

    Raises:
        ValueError: always; the plan needs evidence.
    """
    raise ValueError("there are no batches of data to go by; use fairseq-train, or give e.g. --prune-method magnitude")


class NoUnits:
    """The selector of a plan that removes nothing."""

    groups: dict[str, list] = {}
    layers: dict[str, list[str]] = {}
    inherited = Inherited()
    multiplies = cuts_on_the_way = False

    def state(self) -> dict:
        """There is none."""
        return {}


class Targets:
    """The units of a model and the plan's targets for them.

    Args:
        model: ``nn.Module``.
        plan: :class:`~.plan.Plan`.
        info: what is known about the model; asked for its structure only where units are coupled.

    Attributes:
        selector: :mod:`~fairseq_prune.pruning.selecting`; :class:`NoUnits` if the plan removes nothing.
        structure: the model's coupled units; empty where the plan's units are not coupled.
        initial: dict of group name -> fraction removed before the first event.
        seed: of random choices.

    Raises:
        ValueError: a pattern or a target matches nothing, or a tensor has no such units.
    """

    def __init__(self, model: nn.Module, plan: Plan, info: ModelInfo = BY_FAMILY):
        self.plan, self.seed, self._model, self._info = plan, plan.seed, model, info
        self.initial: dict[str, float] = {}
        self.selector = cast(Selector, NoUnits())  # which is not asked for more
        self.structure = Structure({}, {})
        self._goals = Goals({}, plan.asked_by, self.selector, self._generator)
        if plan.prunes:
            self._find_units()
        self._seen = self.total

    def _patterns(self):
        """Patterns of tensors to count and prune; of coupled units, patterns match vectors instead."""
        plan = self.plan
        coupled = plan.prunes and is_coupled(parse_units(plan.units))
        return ((), (), ()) if coupled else (plan.include, plan.skip, plan.only)

    @property
    def prunables(self) -> Sequence[Prunable]:
        """The tensors that reported fractions refer to; for coupled units, all of the model's in its present shapes."""
        chosen = getattr(self.selector, "prunables", None)
        return find_prunables(self._model, *self._patterns()) if chosen is None else chosen

    def _coupled_selector(self, units: Any) -> CoupledSelector:
        self.structure = self._info.find_structure(self._model)
        parameters = dict(self._model.named_parameters())
        return coupled_selector_of(units)(self.plan, self.structure, units, ranks.average, parameters)

    @property
    def cuts_on_the_way(self) -> bool:
        """True if units are cut out at every event, if shapes can change; else only at the last one."""
        plan = self.plan
        at_once = plan.approach is None and plan.rewind is None and plan.rounding == "nearest"
        return at_once and self._goals.known and self.selector.cuts_on_the_way

    def find_remaining(self, cut: bool) -> None:
        """Find the remaining units after a cut before the last event; targets still refer to the uncut model."""
        if cut and self.cuts_on_the_way:
            before = cast(CoupledSelector, self.selector)
            self.selector = now = self._coupled_selector(parse_units(self.plan.units))
            now.count_cut_since(before)

    def find_again(self) -> bool:
        """Find the units again if the weights of a cut model have been loaded since; True if so."""
        changed = self.total != self._seen
        if changed:
            self._find_units()
            self._seen = self.total
        return changed

    def _find_units(self):
        """Find the units and their goals in the model's present shapes."""
        units: Any = parse_units(self.plan.units)
        if is_coupled(units):
            self.selector = self._coupled_selector(units)
        else:
            check = partial(check_weight_norm, self.plan)
            usable, others = fitting(self.plan, self.prunables, check, "--prune-method magnitude")
            self.selector = own = selector_of(units, self.plan.scope)(self.plan, usable, units, ranks.average)
            for name, reason in {**others, **own.left_out}.items():
                logger.info(f"--prune-units {self.plan.units}: {name} stays whole: {reason}")
        target = self._info.find_targets(self.selector, self._model, self.plan.target)
        common = target, self.plan.asked_by, self.selector, self._generator
        costs = any(isinstance(goal, CostLeft) for goal in target.values())
        find_costs = partial(self._info.find_costs, self._model)
        self._goals = CostGoals(*common, self.structure, find_costs) if costs else Goals(*common)

    def unit_sums(self, values: Values) -> dict[str, Tensor]:
        """Sums over each unit of values, dict of parameter name -> tensor: dict of :func:`unit_key` -> [units]."""
        layers = (layer for members in self.selector.layers.values() for layer in members)
        return {unit_key(layer): self.selector.sum_over(layer, values) for layer in layers}

    @property
    def total(self) -> int:
        """Weights of all prunable tensors in their present shapes (count)."""
        return count_removed(self.prunables, {})[1]

    def begin(self, masks: Masks, gather: Callable[[str], Any] = no_data) -> None:
        """Record what is removed before the first event, from where the schedule leads to the target.

        Args:
            masks: in force.
            gather: function of a kind of evidence -> evidence; called if outliers decide each layer's target.

        Raises:
            ValueError: more than the target is removed already.
        """
        if self._goals.read_outliers(self.prunables, partial(gather, "inputs")):
            self.check(masks)
        for group in self.selector.groups:
            removed, total = self.selector.count(group, masks)
            self.initial[group] = removed / total

    def check(self, masks: Masks) -> None:
        """Refuse targets below what is already removed.

        Raises:
            ValueError: a group has lost more than its target, and removed weights are never revived. The message names
                the group that has lost most, since a target that suits it suits all.
        """
        self.selector.check()
        fractions, beyond = self._goals.fractions(self.selector, masks), {}
        for group in self.selector.groups:
            removed, total = self.selector.count(group, masks)
            if removed > self.selector.budget(group, fractions[group]):
                beyond[group] = removed / total
        if beyond:
            group = max(beyond, key=lambda group: beyond[group])
            asked, more = self._goals.asked(group, beyond[group])
            raise ValueError(
                f"{asked}: {beyond[group]:.4f} of {group!r} is removed already; {more}, or prune no further"
            )

    def select(self, event: int, masks: Masks, evidence: Values | None = None) -> Selection:
        """Select what is removed at an event.

        Args:
            event: its number, from 1.
            masks: in force, dict of parameter name -> bool; what is removed stays so.
            evidence: dict of parameter name -> tensor to be scored instead of the parameter.

        Returns:
            :class:`~fairseq_prune.pruning.selecting.Selection`, with all masks that are then in force.
        """
        if evidence is None:
            evidence = self.selector.inherited.evidence(dict(self._model.named_parameters()))
        fractions = self.fractions(event, masks, evidence)
        return self.intersected(self.selector.select(fractions, masks, self._generator(), evidence), masks)

    def fractions(self, event: int, masks: Masks, evidence: Values | None = None) -> dict[str, float]:
        """Fraction removed of each group after an event, dict of group name -> float; arguments as :meth:`select`."""
        return {
            group: self.plan.schedule.fraction_at(event, self.initial[group], fraction)
            for group, fraction in self._goals.fractions(self.selector, masks, evidence).items()
        }

    def select_one(self, group: str, fraction: float, masks: Masks, evidence: Values) -> Selection:
        """Select within one group, by its evidence; further arguments as :meth:`select`."""
        return self.selector.select({group: fraction}, masks, self._generator(), evidence)

    def intersected(self, selection: Selection, masks: Masks) -> Selection:
        """The selection, with masks that also remove what is already removed."""
        return replace(selection, masks=intersect(masks, selection.masks, self.prunables))

    def _generator(self):
        return torch.Generator().manual_seed(self.seed)

    def overlap(self, selection: Selection) -> float | None:
        """Fraction of the removed units that another run removed, too, if its counts are the targets; else None."""
        inherited = self.selector.inherited
        if inherited.selection is None or inherited.binding:
            return None
        return overlap(self.selector, self.layers, selection, inherited.selection)

    @property
    def layers(self) -> list[str]:
        """Names of the layers that are to lose units."""
        groups = self.selector.layers.items()
        return [layer for group, layers in groups if self._goals.takes(self.selector, group) for layer in layers]

    def state(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "initial": dict(self.initial),
            "shares": dict(self._goals.shares),
            "seed": self.seed,
            **self.selector.state(),
        }

    def load_state(self, state: dict[str, Any], unfinished: bool) -> bool:
        """Restore the position of an interrupted run, whose weights have been loaded.

        Args:
            state: of :meth:`state`.
            unfinished: something is still to be removed.

        Returns:
            True if the selector has been replaced.
        """
        self.initial, self.seed = state["initial"], state["seed"]
        cut = any(state.get("gone", {}).values())
        if cut:  # by that run, whose targets are fractions of what was there before
            self.selector = self._coupled_selector(parse_units(self.plan.units))
        followed = unfinished and not cut and self.find_again()
        self._goals.shares = state.get("shares", {})  # files of earlier versions have none
        self.selector.load_state(state)
        return cut or followed
