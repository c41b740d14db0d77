"""What does not go with a plan's approach."""

from typing import Any

from ..pruning.growing import Growth
from ..pruning.importance import EVIDENCE
from ..pruning.units import Pattern, Support, WeightAndNode, Width, is_coupled, parse_units
from .settings import (
    Gates,
    HardConcrete,
    Hoyer,
    Lagrangian,
    Movement,
    Projection,
    SoftMovement,
    StraightThrough,
    TickTock,
)
from .shrinking import Shrink

UNTIL_THE_END = (Growth, Gates, Hoyer, HardConcrete)  # begin at the one event, and end where the schedule does
GATED = (Gates, HardConcrete, TickTock)
MELTED = (HardConcrete, TickTock)  # gates that become part of the weights
CONNECTED = ("connectivity", "connectivity_squared")  # importances of units with connectivity
MASKING = (StraightThrough, Movement, SoftMovement)


def check_approach(plan: Any) -> None:
    """Refuse what cannot work.

    Args:
        plan: :class:`~.plan.Plan`.

    Raises:
        ValueError: naming the option, the value and a valid example.
    """
    _check_schedule(plan)
    units = parse_units(plan.units)
    if isinstance(plan.approach, _refused(units)):
        example = "node" if isinstance(plan.approach, GATED) and is_coupled(units) else "row"
        example = "width" if isinstance(plan.approach, Shrink) else example
        raise ValueError(
            f"--prune-units {plan.units}: are not for --prune-method {plan.method}; e.g. --prune-units {example}"
        )
    if getattr(plan.approach, "norms", False) and not is_coupled(units):
        raise ValueError("--reg-bn: is for units that own biases and norms, e.g. --prune-units filter")
    derived = plan.importance in EVIDENCE and plan.approach and not isinstance(plan.approach, (Projection, Shrink))
    if plan.importance in CONNECTED and not isinstance(units, Width):
        raise ValueError(f"--prune-importance {plan.importance}: is for units with connectivity, e.g. width")
    if derived or isinstance(plan.approach, GATED) and plan.importance != "score":
        raise ValueError(f"--prune-importance {plan.importance}: is not for --prune-method {plan.method}; leave it out")
    if plan.importance in ("gradient_flow", "score") and isinstance(units, Pattern):
        raise ValueError(
            f"--prune-units {plan.units}: have no signed scores, as --prune-method {plan.method} needs; e.g. kernel"
        )


def _check_schedule(plan):
    approach, schedule = plan.approach, plan.schedule
    ends_itself = isinstance(approach, UNTIL_THE_END) != (schedule.shape == "growing")
    in_rounds = isinstance(approach, Shrink) != schedule.in_rounds
    if ends_itself or in_rounds or approach and schedule.shape == "once":
        raise ValueError(f"--prune-schedule {schedule.shape}: is not for --prune-method {plan.method}; leave it out")
    if approach and not isinstance(approach, (Growth, Shrink)) and not schedule.end:
        raise ValueError(f"--prune-method {plan.method} needs --prune-end, when its weights leave, e.g. 2000up")
    intervals = schedule.num_events - 1
    if isinstance(approach, TickTock) and intervals <= approach.tocks:
        raise ValueError(
            f"--prune-tocks {approach.tocks}: leaves no tick in the {intervals} intervals of the schedule "
            f"({schedule}); give e.g. --prune-tocks 1"
        )


def _refused(units):
    """Approaches that units cannot have."""
    if isinstance(units, Width):
        return (*UNTIL_THE_END, Lagrangian, Projection, *MASKING, TickTock)
    if isinstance(units, WeightAndNode):
        return (*UNTIL_THE_END, Lagrangian, Projection, *MASKING, TickTock, Shrink)
    if isinstance(units, Support):
        return (Growth, Hoyer, *GATED, Shrink)
    if not is_coupled(units):
        return (Shrink,)
    if units.side == "writers":  # a norm behind them would undo a gate, and a bias outlive it
        return (*MASKING, *GATED, Shrink)
    return (*MASKING, Shrink)  # masks of both sides leave no gradient
