"""The options of approaches; those of growing penalties in the spelling of GReg's original."""

from collections.abc import Iterator, Mapping
from dataclasses import Field, dataclass, field, fields, replace
from math import isfinite
from typing import Any, Optional

from fairseq.dataclass import FairseqDataclass
from fairseq.tasks import FairseqTask  # noqa: F401  (fairseq.dataclass is incomplete without it)

from ..needs import Need, spelt
from ..pruning.growing import Growth, fit
from ..pruning.schedule import Schedule
from .settings import ApproachSettings, Gates, HardConcrete, Hoyer, Lagrangian, SoftMovement, StraightThrough, TickTock
from .shrinking import Shrink


def _option(text, default=None, needs=None):
    return field(default=default, metadata={"help": text} | ({"needs": needs} if needs else {}))


_PICKS = Need(lambda run: run.plan.approach.picks, "--prune-method greg2")
_RATIO = Need(lambda run: run.plan.units != "weight", "--prune-units filter")  # a single weight has none
_GROWS = Need(lambda run: not run.options.reg_fit, "it without --reg-fit, which sets it")
_PICKS_FREELY = Need(lambda run: _PICKS.holds(run) and _GROWS.holds(run), "--prune-method greg2 without --reg-fit")

_EPOCHS = Need(lambda run: not run.plan.approach.updates, "it without --srp-pruning-updates")


@dataclass
class ApproachOptions(FairseqDataclass):
    """How weights leave that do not leave at once; None means the method's own value."""

    update_reg_interval: Optional[int] = _option("updates between two changes of the penalty (default 5)")
    stabilize_reg_interval: Optional[int] = _option(
        "updates with the full penalty before the removal (default 40000)", needs=_GROWS
    )
    reg_upper_limit: Optional[float] = _option("factor at which a layer is through (default 1.0)")
    reg_upper_limit_pick: Optional[float] = _option("greg2: factor at which units are picked (0.01)", needs=_PICKS)
    reg_granularity_prune: Optional[float] = _option("added for units that leave at each change (1e-4)", needs=_GROWS)
    reg_granularity_pick: Optional[float] = _option(
        "greg2: added for all units until they are picked (default 1e-5)", needs=_PICKS_FREELY
    )
    reg_granularity_recover: Optional[float] = _option("greg2: factor of units that stay (default -1e-4)", needs=_PICKS)
    mag_ratio_limit: Optional[float] = _option(
        "a layer is through when kept units are so much larger (default 1000)", needs=_RATIO
    )
    reg_stop_scope: Optional[str] = _option(
        "that ratio is asked of all layers (global) or of each by itself (layer)", needs=_RATIO
    )
    reg_fit: bool = _option("scale the penalty to end at --prune-end, which must be in updates", False)
    prune_rho: Optional[float] = _option("admm: weight of the penalty (default 1e-3)")
    prune_mask_decay: Optional[float] = _option("sr_ste: decay of what is not selected (default 2e-4)")
    prune_lambda: Optional[float] = _option(
        "weight of the regulariser: hoyer_square (default 1e-3), group_hoyer_square (0.1), l0 (10, all gates open), "
        "soft_movement (1)"
    )
    prune_gate_l1: Optional[float] = _option("penalty of gates: skeleton (default 1e-5), gate_decorators (1e-3)")
    prune_score_lr: Optional[float] = _option("soft_movement: Adam's learning rate of scores (default 0.01)")
    prune_gate_lr: Optional[float] = _option("gated methods: learning rate of gates (default the run's)")
    prune_ticks: Optional[int] = _option("gate_decorators: intervals in which gates learn alone (default 10)")
    prune_tocks: Optional[int] = _option("gate_decorators: intervals before them in which all learns (default 10)")
    prune_gate_threshold: Optional[float] = _option("skeleton: size at which a gate closes (default 0.01)")
    reg_bn: bool = _option("the penalty also acts on biases and norms of the units that leave", False)
    block_loss_grad: bool = _option("the penalty replaces the gradient of penalised weights (an ablation)", False)
    decreasing: Optional[str] = _option(
        "srp: shrink by step (s) or epoch (e), arithmetically (a) or geometrically (g): sa (default), sg, ea, eg"
    )
    pruning_period: Optional[int] = _option("srp: epochs in a round (default 15)", needs=_EPOCHS)
    srp_pruning_updates: Optional[int] = _option("srp: updates in a round, instead of --pruning-period")


_GATED = (Gates, HardConcrete, TickTock)
_WEIGHTED = (Hoyer, HardConcrete, SoftMovement)
_FIELDS: dict[str, tuple[Any, str]] = {  # of an option: data that has it, one kind or several, and its field there
    "update_reg_interval": (Growth, "interval"),
    "stabilize_reg_interval": (Growth, "stabilise"),
    "reg_upper_limit": (Growth, "limit"),
    "reg_upper_limit_pick": (Growth, "pick_limit"),
    "reg_granularity_prune": (Growth, "step"),
    "reg_granularity_pick": (Growth, "pick_step"),
    "reg_granularity_recover": (Growth, "recover"),
    "mag_ratio_limit": (Growth, "ratio_limit"),
    "reg_stop_scope": (Growth, "stop_scope"),
    "reg_fit": (Growth, None),
    "reg_bn": (Growth, "norms"),
    "block_loss_grad": (Growth, "blocks_loss"),
    "prune_rho": (Lagrangian, "rho"),
    "prune_mask_decay": (StraightThrough, "decay"),
    "prune_lambda": (_WEIGHTED, "weight"),
    "prune_score_lr": (SoftMovement, "rate"),
    "prune_gate_l1": ((Gates, TickTock), "l1"),
    "prune_gate_lr": (_GATED, "rate"),
    "prune_ticks": (TickTock, "ticks"),
    "prune_tocks": (TickTock, "tocks"),
    "prune_gate_threshold": (Gates, "threshold"),
    "decreasing": (Shrink, "decreasing"),
    "pruning_period": (Shrink, "epochs"),
    "srp_pruning_updates": (Shrink, "updates"),
}
_POSITIVE = {"interval", "limit", "pick_limit", "step", "pick_step", "ratio_limit", "rho", "rate", "ticks", "tocks"}
_NOT_NEGATIVE = {"weight", "l1", "decay", "threshold"}
_EXAMPLES = {
    Growth: "greg1",
    Lagrangian: "admm",
    StraightThrough: "sr_ste",
    Gates: "skeleton",
    TickTock: "gate_decorators",
    _WEIGHTED: "l0",
    SoftMovement: "soft_movement",
    (Gates, TickTock): "gate_decorators",
    _GATED: "l0",
    Shrink: "srp",
}


def given_approach(cfg: Any) -> dict[str, Any]:
    """Options of approaches that a run was given, dict of name -> value."""
    values = {name: getattr(cfg, name, None) for name in _FIELDS}
    return {name: value for name, value in values.items() if value is not None and value is not False}  # 0 is given


def read_approach(
    method: str,
    approach: ApproachSettings | None,
    options: Mapping[str, Any],
    schedule: Schedule | None,
    single_weights: bool,
) -> ApproachSettings | None:
    """A method's approach with the user's options.

    Args:
        method: its name.
        approach: data of :mod:`~fairseq_prune.methods.settings` or
            :class:`~fairseq_prune.pruning.growing.Growth`; None for methods without.
        options: from :func:`given_approach`.
        schedule: of the run.
        single_weights: True if units are single weights, which have no magnitude ratio.

    Returns:
        The same kind of data, or None.

    Raises:
        ValueError: naming the option, the value and a valid example.
    """
    for name, value in options.items():
        kind, field = _FIELDS[name]
        if not isinstance(approach, kind):
            raise ValueError(
                f"{spelt(name)} {value}: is not for --prune-method {method}; e.g. --prune-method {_EXAMPLES[kind]}"
            )
        if isinstance(value, float) and not isfinite(value):
            raise ValueError(f"{spelt(name)} {value}: give a finite number, e.g. {getattr(approach, field) or 0.01}")
        if field in _POSITIVE and not value > 0:
            raise ValueError(f"{spelt(name)} {value}: must be above 0, e.g. {getattr(approach, field) or 0.01}")
        if field in _NOT_NEGATIVE and not value >= 0:
            raise ValueError(f"{spelt(name)} {value}: must not be below 0, e.g. {getattr(approach, field)}")
    given = {field: options[name] for name, (_, field) in _FIELDS.items() if field and name in options}
    if approach is not None:
        approach = replace(approach, **given)  # type: ignore[type-var]  # all kinds are dataclasses
    return _grown(approach, options, schedule, single_weights) if isinstance(approach, Growth) else approach


def _grown(growth, options, schedule, single_weights):
    if growth.stop_scope not in ("global", "layer"):
        raise ValueError(f"--reg-stop-scope {growth.stop_scope}: give global or layer")
    if growth.stabilise < 0:
        raise ValueError(f"--stabilize-reg-interval {growth.stabilise}: must not be below 0, e.g. 10000")
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


def option_of(approach: ApproachSettings, field: str) -> str:
    """The option of a field of an approach's data, as it is typed."""
    return next(spelt(n) for n, (kind, own) in _FIELDS.items() if own == field and isinstance(approach, kind))


def options_of(approach: Any) -> Iterator[tuple[Field, Any, str]]:
    """Options that an approach has.

    Args:
        approach: a method's own data; None: it has none.

    Yields:
        (Field of :class:`ApproachOptions`, value where the user gives none, bounds or ``""``).
    """
    for option in fields(ApproachOptions):
        kind, own = _FIELDS.get(option.name, ((), None))
        if isinstance(approach, kind):
            bounds = "above 0" if own in _POSITIVE else "0 or more" if own in _NOT_NEGATIVE else ""
            yield option, getattr(approach, own) if own else option.default, bounds
