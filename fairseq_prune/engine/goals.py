"""The fraction that each group of units loses by the end: its own, or a common one that meets a cost."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import cast

import torch

from ..pruning.budget import CostLeft, Deviation, Outliers, Threshold
from ..pruning.budget.cost import Costs
from ..pruning.budget.erdos_renyi import ErdosRenyi, erdos_renyi
from ..pruning.budget.given import Target
from ..pruning.budget.outliers import SPREAD
from ..pruning.masks import Masks
from ..pruning.prunable import Prunable
from ..pruning.selecting import CoupledSelector
from ..pruning.selecting.selector import Selector, Values
from ..pruning.surgery.structure import Structure
from .outliers import Walk, shares_by_outliers

FindCosts = Callable[[str], Costs | None]  # of "params" or "macs"; None: that takes data which are not there yet


class Goals:
    """A target for each group.

    Methods take the present selector, since units may have been cut out.

    Args:
        target: dict of group name -> fraction, or an object that gives it once weights, inputs or costs are known.
        asked_by: the option that gave the target, for messages.
        selector: of the units.
        seeded: function -> generator for random scores.

    Attributes:
        shares: dict of group name -> fraction by its outliers, once they have been counted.

    Raises:
        ValueError: a layer would lose all its units, or no layer any; the message names a fraction that works.
    """

    def __init__(self, target: Target, asked_by: str, selector: Selector, seeded: Callable[[], torch.Generator]):
        self._asked, self._target = target, {**target, **_by_shapes(target, selector)}
        self._asked_by, self._seeded = asked_by, seeded
        self.shares: dict[str, float] = {}
        fractions = {group: goal for group, goal in self._target.items() if not isinstance(goal, _SAID_LATER)}
        self._refuse_unreachable(selector, fractions)
        if len(fractions) == len(self._target):
            self._refuse_none_at_all(selector, {group: goal for group, goal in fractions.items() if goal})

    def _refuse_unreachable(self, selector, fractions):
        highest = {group: selector.highest(group, fraction) for group, fraction in fractions.items()}
        reached = {group: fraction for group, fraction in highest.items() if fraction is not None}
        if reached:
            least = min(reached, key=lambda group: reached[group])
            most = math.floor(reached[least] * 1e4) / 1e4
            else_skip = "skip it or " if len(selector.groups) > 1 else ""
            advice = f"give e.g. --prune-target {most}" if most else _OTHERS
            raise ValueError(
                f"{self._asked_by} {self._asked[least]}: at most {most} of {least!r} can be removed: one unit of "
                f"every layer stays; {else_skip}{advice}"
            )

    def _refuse_none_at_all(self, selector, fractions):
        """Refuse fractions that amount to no unit in any group, i.e. to less than half a unit."""
        if not fractions or any(selector.budget(group, fraction) for group, fraction in fractions.items()):
            return
        group, fraction = max(fractions.items(), key=lambda item: item[1])
        more = (2.0**power * fraction for power in range(60) if 2.0**power * fraction < 1)
        enough = next((goal for goal in more if selector.budget(group, goal)), None)
        fits = enough and selector.highest(group, enough) is None
        advice = f"give e.g. --prune-target {enough:g}" if fits else _OTHERS
        raise ValueError(f"{self._asked_by} {fraction}: amounts to no unit of {group!r}; {advice}")

    @property
    def known(self) -> bool:
        """True if all goals are plain fractions, which are known from the start."""
        return all(isinstance(goal, float) for goal in self._target.values())

    def asked(self, group: str, lost: float) -> tuple[str, str]:
        """For messages: (the option and target of a group, what to give instead if it has lost more)."""
        return f"{self._asked_by} {self._asked[group]}", f"give e.g. --prune-target {math.ceil(lost * 1e4) / 1e4}"

    def read_outliers(self, prunables: Sequence[Prunable], walk: Callable[[], Walk]) -> bool:
        """Find the fractions of groups whose goal depends on outliers (``0.7owl``).

        Args:
            prunables: tensors, each a group.
            walk: function -> pairs of tensor name and inputs; only called if there are such groups.

        Returns:
            True if there are any.
        """
        if by_outliers := {group: goal for group, goal in self._target.items() if isinstance(goal, Outliers)}:
            self.shares = shares_by_outliers(prunables, by_outliers, walk())
        return bool(by_outliers)

    def fractions(self, selector: Selector, masks: Masks, evidence: Values | None = None) -> dict[str, float]:
        """The fraction that every group loses by the end, dict of group name -> fraction.

        Args:
            selector: of the units.
            masks: in force, dict of parameter name -> bool.
            evidence: what is scored instead of the parameters.
        """
        return {group: self._fraction(selector, group, masks, evidence) for group in selector.groups}

    def _fraction(self, selector, group, masks, evidence):
        goal = self._target[group]
        if isinstance(goal, Outliers):  # before they are looked at, as much as may be
            return self.shares.get(group, min(goal.fraction + SPREAD, 0.999))
        if isinstance(goal, Threshold):
            return selector.share_within(group, goal, masks, self._seeded(), evidence)
        return selector.share_below(group, goal, masks) if isinstance(goal, Deviation) else goal

    def takes(self, selector: Selector, group: str) -> bool:
        """True if a group loses units, or may."""
        goal = self._target[group]
        return isinstance(goal, Threshold) or selector.budget(group, self._fraction(selector, group, {}, None)) > 0


class CostGoals(Goals):
    """The smallest common fraction of all groups with which the model meets its cost budget.

    Args:
        target: dict of group name -> :class:`~fairseq_prune.pruning.budget.CostLeft`, the same of all.
        asked_by, selector, seeded: as of :class:`Goals`.
        structure: the model's coupled units.
        find_costs: function of ``"params"`` or ``"macs"``.

    Raises:
        ValueError: the budget cannot be met; the message names the lowest that can.
    """

    def __init__(
        self,
        target: Target,
        asked_by: str,
        selector: Selector,
        seeded: Callable[[], torch.Generator],
        structure: Structure,
        find_costs: FindCosts,
    ):
        super().__init__(target, asked_by, selector, seeded)
        (self._left,) = {goal for goal in target.values() if isinstance(goal, CostLeft)}
        self._structure, self._find_costs = structure, partial(find_costs, self._left.of)
        self._costs = self._find_costs()
        if self._costs:
            groups = cast(CoupledSelector, selector).groups.values()  # only coupled units have costs
            self._left.check(self._costs, structure, [vector for vectors in groups for vector in vectors])

    def asked(self, group: str, lost: float) -> tuple[str, str]:
        return self._left.option, "more than that takes; give less"

    def fractions(self, selector: Selector, masks: Masks, evidence: Values | None = None) -> dict[str, float]:
        """As :meth:`Goals.fractions`.

        Raises:
            ValueError: what the model costs is not known, or no fraction is enough.
        """

        def kept(fraction):
            fractions = dict.fromkeys(selector.groups, fraction)
            return selector.select(fractions, masks, self._seeded(), evidence).keep

        self._costs = self._costs or self._find_costs()
        if self._costs is None:
            raise ValueError(
                f"{self._left.option}: what this model multiplies is not known; give e.g. --prune-params-left 0.5"
            )
        return dict.fromkeys(selector.groups, self._left.fraction(self._costs, self._structure, kept))

    def takes(self, selector: Selector, group: str) -> bool:
        """True: any may."""
        return True


_OTHERS = "give other units, e.g. --prune-units row"
_SAID_LATER = (Threshold, Deviation, Outliers, CostLeft)


def _by_shapes(target, selector):
    """The fraction of each layer whose goal is by shapes (``0.9erk``)."""
    found: dict[str, float] = {}
    for wanted in {goal for goal in target.values() if isinstance(goal, ErdosRenyi)}:
        groups = [group for group, goal in target.items() if goal == wanted]
        shapes = {group: torch.Size(selector.groups[group][0].shape) for group in groups}
        found |= erdos_renyi(shapes, wanted.fraction)
    return found
