"""The options of growing penalties, with the names of GReg's original."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..needs import Need
from ..pruning.growing import Growth, fit
from ..pruning.schedule import Schedule
from .option import ABOVE_0, AT_LEAST_0, Option

_PICKS = Need(lambda run: run.plan.approach.picks, "--prune-method greg2")
_RATIO = Need(lambda run: run.plan.units != "weight", "--prune-units filter")  # a single weight has none
_GROWS = Need(lambda run: not run.options.reg_fit, "--prune-method greg1 without --reg-fit")
_PICKS_FREELY = Need(lambda run: _PICKS.holds(run) and _GROWS.holds(run), "--prune-method greg2 without --reg-fit")

OPTIONS = (
    Option(
        "update_reg_interval",
        "interval",
        "updates between two changes of the penalty",
        ABOVE_0,
        int,
        example="greg1",
    ),
    Option(
        "stabilize_reg_interval",
        "stabilise",
        "updates with the full penalty before the removal",
        AT_LEAST_0,
        int,
        example="greg1",
        needs=_GROWS,
    ),
    Option(
        "reg_upper_limit", "limit", "penalty factor at which a layer's penalty stops growing", ABOVE_0, example="greg1"
    ),
    Option(
        "reg_upper_limit_pick",
        "pick_limit",
        "penalty factor at which the units to remove are picked",
        ABOVE_0,
        example="greg1",
        needs=_PICKS,
    ),
    Option(
        "reg_granularity_prune",
        "step",
        "increase of the penalty factor at each change, for units to be removed",
        ABOVE_0,
        example="greg1",
        needs=_GROWS,
    ),
    Option(
        "reg_granularity_pick",
        "pick_step",
        "the same for all units, until some are picked",
        ABOVE_0,
        example="greg1",
        needs=_PICKS_FREELY,
    ),
    Option(
        "reg_granularity_recover", "recover", "penalty factor of the units that are kept", example="greg1", needs=_PICKS
    ),
    Option(
        "mag_ratio_limit",
        "ratio_limit",
        "the penalty also stops growing once kept units are this many times larger",
        ABOVE_0,
        example="greg1",
        needs=_RATIO,
    ),
    Option(
        "reg_stop_scope",
        "stop_scope",
        "whether that is checked over all layers (global) or for each by itself (layer)",
        type=str,
        example="greg1",
        needs=_RATIO,
    ),
    Option(
        "reg_fit",
        None,
        "scale the penalty's growth to end at --prune-end, given in updates",
        type=bool,
        example="greg1",
    ),
    Option(
        "reg_bn",
        "norms",
        "also penalise biases and normalisation weights of the units to be removed",
        type=bool,
        example="greg1",
    ),
    Option(
        "block_loss_grad",
        "blocks_loss",
        "let the penalty replace the gradient of penalised weights (an ablation)",
        type=bool,
        example="greg1",
    ),
)


def complete(growth: Growth, options: Mapping[str, Any], schedule: Schedule, single_weights: bool) -> Growth:
    """As :meth:`~.approach.Approach.completed`."""
    if growth.stop_scope not in ("global", "layer"):
        raise ValueError(f"--reg-stop-scope {growth.stop_scope}: give global or layer")
    if growth.picks and growth.pick_limit >= growth.limit:
        raise ValueError(
            f"--reg-upper-limit-pick {growth.pick_limit}: must be below --reg-upper-limit {growth.limit}, e.g. 0.01"
        )
    if single_weights:
        growth = replace(growth, ratio_limit=float("inf"))
    return _fitted(growth, schedule) if options.get("reg_fit") else growth


def _fitted(growth, schedule):
    if schedule.end is None or schedule.unit != "up":
        raise ValueError("--reg-fit needs --prune-end in updates, e.g. --prune-end 2000up")
    try:
        return fit(growth, schedule.end.count - schedule.start.count)
    except ValueError as error:
        raise ValueError(f"--prune-end {schedule.end}: {error}") from None
