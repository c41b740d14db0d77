"""What cannot be combined with a plan's approach."""

from typing import Any

from ..pruning.budget import Deviation, Threshold
from ..pruning.calibration.worth import WORTHS
from ..pruning.importance import EVIDENCE
from ..pruning.units import NM, Layer, Pattern, Support, Weight, WeightAndNode, Width, is_coupled, parse_units
from .approach import APPROACHES, Approach
from .method import METHODS

OF_UNITS = {  # importances of one kind of units: (their class, what to say of them)
    "connectivity": (Width, "units with connectivity, e.g. width"),
    "connectivity_squared": (Width, "units with connectivity, e.g. width"),
    "cosine": (Layer, "whole layers, e.g. --prune-units layer"),
    "loss": (Layer, "whole layers, e.g. --prune-units layer"),
}


def check_approach(plan: Any) -> None:
    """Refuse what cannot work.

    Args:
        plan: :class:`~fairseq_prune.engine.plan.Plan`.

    Raises:
        ValueError: naming the option, the value and a valid example.
    """
    kind, units = approach_of(plan), parse_units(plan.units)
    _check_schedule(plan, kind)
    if kind:
        _check_units(plan, kind, units)
        kind.check(plan.approach, units, plan.schedule)
    needed, told = OF_UNITS.get(plan.importance, (object, ""))
    if not isinstance(units, needed):
        raise ValueError(f"--prune-importance {plan.importance}: is for {told}")
    derived = kind and plan.importance in EVIDENCE and not kind.takes_evidence
    if derived or kind and kind.gated and plan.importance != "score":
        raise ValueError(f"--prune-importance {plan.importance}: is not for --prune-method {plan.method}; leave it out")
    if plan.importance == "score" and METHODS[plan.method].importance != "score":
        raise ValueError("--prune-importance score: is what a method has learnt; give e.g. --prune-method movement")
    if plan.importance in ("gradient_flow", "score") and isinstance(units, Pattern):
        raise ValueError(
            f"--prune-units {plan.units}: have no signed scores, as --prune-method {plan.method} needs; e.g. kernel"
        )


def check_in_order(plan: Any) -> None:
    """Refuse what layers that are pruned one after the other, by their inputs, cannot have.

    Args:
        plan: :class:`~fairseq_prune.engine.plan.Plan`.

    Raises:
        ValueError: naming the option, the value and a valid example.
    """
    if not plan.in_order:
        return
    method, units, worth = f"--prune-method {plan.method}", parse_units(plan.units), WORTHS[plan.importance]
    if plan.approach:
        raise ValueError(f"--prune-importance {plan.importance}: is not for {method}; give e.g. --prune-method wanda")
    if is_coupled(units):
        raise ValueError(
            f"--prune-units {plan.units}: several layers own them, and {method} prunes one after the other; "
            "give e.g. --prune-units weight"
        )
    if worth.compensates and not isinstance(units, Weight | NM):
        raise ValueError(f"--prune-units {plan.units}: are not for {method}; give e.g. --prune-units 2:4")
    scopes = ("layer",) if worth.compensates else ("layer", "output")
    if plan.scope not in scopes:
        raise ValueError(f"--prune-scope {plan.scope}: {method} prunes layer after layer; give {' or '.join(scopes)}")
    if worth.compensates and plan.rewind:
        raise ValueError(f"--prune-rewind {plan.rewind}: would undo what {method} makes up for; leave it out, e.g. imp")
    for target in plan.target.values():
        if isinstance(target, Threshold | Deviation):
            raise ValueError(f"--prune-target {target}: is not for {method}; give e.g. --prune-target 0.5")


def approach_of(plan: Any) -> type[Approach] | None:
    """What acts between the first selection and the removal; None: every selection removes."""
    return plan.approach and APPROACHES[type(plan.approach)]


def _check_schedule(plan, kind):
    schedule = plan.schedule
    ends_itself = bool(kind and kind.until_the_end) != (schedule.shape == "growing")
    in_rounds = bool(kind and kind.in_rounds) != schedule.in_rounds
    if ends_itself or in_rounds or kind and schedule.shape == "once":
        raise ValueError(f"--prune-schedule {schedule.shape}: is not for --prune-method {plan.method}; leave it out")
    if kind and kind.needs_end and not schedule.end:
        raise ValueError(f"--prune-method {plan.method} needs --prune-end, when its weights are removed, e.g. 2000up")


def _check_units(plan, kind, units):
    if not _fits(kind, units):
        fitting = "weight" if kind.regrows else "width" if kind.connected else "row"
        example = "node" if kind.gated and is_coupled(units) else fitting
        raise ValueError(
            f"--prune-units {plan.units}: are not for --prune-method {plan.method}; e.g. --prune-units {example}"
        )


def _fits(kind, units):
    """True if an approach can have units."""
    if kind.regrows:
        return isinstance(units, Weight)
    if isinstance(units, Width) or kind.connected:
        return isinstance(units, Width) and kind.connected
    if isinstance(units, WeightAndNode | Layer):
        return False
    if isinstance(units, Support):
        return kind.any_support
    if not is_coupled(units):
        return True
    if kind.gated and units.side == "writers":
        return False  # a norm behind them would undo a gate, and a bias outlive it
    return not kind.masking  # masks of both sides leave no gradient
