"""Which combinations with an approach are refused."""

from typing import Protocol

from ..pruning.budget import Deviation, Threshold
from ..pruning.calibration.scores import INPUT_SCORES
from ..pruning.importance import EVIDENCE, ONLY_FOR, SIGNED
from ..pruning.schedule import Schedule
from ..pruning.selecting import SelectionPlan
from ..pruning.times import When
from ..pruning.units import NM, UNITS, Pattern, Weight, is_coupled, parse_units
from .approach import APPROACHES, Approach, ApproachSettings
from .method import METHODS


class ApproachPlan(SelectionPlan, Protocol):
    """What is read here of a plan, :class:`~fairseq_prune.engine.plan.Plan`."""

    @property
    def method(self) -> str: ...
    @property
    def schedule(self) -> Schedule: ...
    @property
    def rewind(self) -> When | None: ...
    @property
    def layerwise(self) -> bool: ...
    @property
    def approach(self) -> ApproachSettings | None: ...


def check_approach(plan: ApproachPlan) -> None:
    """Refuse what cannot work.

    Raises:
        ValueError: naming the option, the value and a valid example.
    """
    kind, units = approach_of(plan), parse_units(plan.units)
    _check_schedule(plan, kind)
    if kind:
        if not kind.fits(units):
            raise ValueError(
                f"--prune-units {plan.units}: are not for --prune-method {plan.method}; "
                f"e.g. --prune-units {kind.example_units}"
            )
        kind.check(plan.approach, units, plan.schedule)
    only = ONLY_FOR.get(plan.importance)
    if only and not isinstance(units, UNITS[only]):
        raise ValueError(f"--prune-importance {plan.importance}: is only for units {only}; e.g. --prune-units {only}")
    derived = kind and plan.importance in EVIDENCE and not kind.takes_evidence
    if derived or kind and kind.gated and plan.importance != "score":
        raise ValueError(f"--prune-importance {plan.importance}: is not for --prune-method {plan.method}; leave it out")
    if plan.importance == "score" and METHODS[plan.method].importance != "score":
        raise ValueError(
            "--prune-importance score: is for methods that learn scores; give e.g. --prune-method movement"
        )
    if plan.importance in SIGNED and isinstance(units, Pattern):
        raise ValueError(
            f"--prune-units {plan.units}: do not fit importance {plan.importance}, whose scores may be below 0; "
            "e.g. --prune-units kernel"
        )


def check_layerwise(plan: ApproachPlan) -> None:
    """Refuse what layers that are pruned one after the other, by their inputs, cannot have.

    Raises:
        ValueError: naming the option, the value and a valid example.
    """
    if not plan.layerwise:
        return
    method, units, scoring = f"--prune-method {plan.method}", parse_units(plan.units), INPUT_SCORES[plan.importance]
    if plan.approach:
        raise ValueError(f"--prune-importance {plan.importance}: is not for {method}; give e.g. --prune-method wanda")
    if is_coupled(units):
        raise ValueError(
            f"--prune-units {plan.units}: several layers own them, and {method} prunes one after the other; "
            "give e.g. --prune-units weight"
        )
    if scoring.compensates and not isinstance(units, Weight | NM):
        raise ValueError(f"--prune-units {plan.units}: are not for {method}; give e.g. --prune-units 2:4")
    scopes = ("layer",) if scoring.compensates else ("layer", "output")
    if plan.scope not in scopes:
        raise ValueError(f"--prune-scope {plan.scope}: {method} prunes layer after layer; give {' or '.join(scopes)}")
    if scoring.compensates and plan.rewind:
        raise ValueError(f"--prune-rewind {plan.rewind}: would undo what {method} makes up for; leave it out, e.g. imp")
    for target in plan.target.values():
        if isinstance(target, Threshold | Deviation):
            raise ValueError(f"--prune-target {target}: is not for {method}; give e.g. --prune-target 0.5")


def approach_of(plan: ApproachPlan) -> type[Approach] | None:
    """What acts between the first selection and the removal; None: every selection removes."""
    return APPROACHES[type(plan.approach)] if plan.approach else None


def _check_schedule(plan, kind):
    schedule = plan.schedule
    ends_itself = bool(kind and kind.until_the_end) != (schedule.shape == "growing")
    in_rounds = bool(kind and kind.in_rounds) != schedule.in_rounds
    if ends_itself or in_rounds or kind and schedule.shape == "once":
        raise ValueError(f"--prune-schedule {schedule.shape}: is not for --prune-method {plan.method}; leave it out")
    if kind and kind.needs_end and not schedule.end:
        raise ValueError(f"--prune-method {plan.method} needs --prune-end, when its weights are removed, e.g. 2000up")
