"""The options of growing penalties, in the spelling of GReg's original."""

from dataclasses import dataclass, field, replace
from typing import Optional

from fairseq.dataclass import FairseqDataclass
from fairseq.tasks import FairseqTask  # noqa: F401  (fairseq.dataclass is incomplete without it)

from ..pruning.growing import fit


def _option(text, default=None):
    return field(default=default, metadata={"help": text})


@dataclass
class GrowthOptions(FairseqDataclass):
    """How a penalty grows (--prune-method greg1, greg2); None means the method's own value."""

    update_reg_interval: Optional[int] = _option("updates between two changes of the penalty (default 5)")
    stabilize_reg_interval: Optional[int] = _option("updates with the full penalty before the removal (default 40000)")
    reg_upper_limit: Optional[float] = _option("factor at which a layer is through (default 1.0)")
    reg_upper_limit_pick: Optional[float] = _option("greg2: factor at which units are picked (default 0.01)")
    reg_granularity_prune: Optional[float] = _option("added for units that leave at each change (default 1e-4)")
    reg_granularity_pick: Optional[float] = _option("greg2: added for all units until they are picked (default 1e-5)")
    reg_granularity_recover: Optional[float] = _option("greg2: factor of units that stay (default -1e-4)")
    mag_ratio_limit: Optional[float] = _option("a layer is through when kept units are so much larger (default 1000)")
    reg_stop_scope: Optional[str] = _option("that ratio is asked of all layers (global) or of each by itself (layer)")
    reg_fit: bool = _option("scale the penalty to end at --prune-end, which must be in updates", False)
    block_loss_grad: bool = _option("the penalty replaces the gradient of penalised weights (an ablation)", False)


_FIELDS = {
    "update_reg_interval": "interval",
    "stabilize_reg_interval": "stabilise",
    "reg_upper_limit": "limit",
    "reg_upper_limit_pick": "pick_limit",
    "reg_granularity_prune": "step",
    "reg_granularity_pick": "pick_step",
    "reg_granularity_recover": "recover",
    "mag_ratio_limit": "ratio_limit",
    "reg_stop_scope": "stop_scope",
}
_POSITIVE = {"interval", "limit", "pick_limit", "step", "pick_step", "ratio_limit"}
NAMES = [*_FIELDS, "reg_fit", "block_loss_grad"]


def given_growth(cfg):
    """Options of growth that a run was given, dict of name -> value."""
    return {name: getattr(cfg, name) for name in NAMES if getattr(cfg, name, None) not in (None, False)}


def read_growth(method, growth, options, schedule, single_weights):
    """A method's growth with the user's options.

    Args:
        method: its name.
        growth: :class:`~fairseq_prune.pruning.growing.Growth`, or None for methods without a penalty.
        options: from :func:`given_growth`.
        schedule: of the run.
        single_weights: True if units are single weights, which have no magnitude ratio.

    Returns:
        :class:`~fairseq_prune.pruning.growing.Growth`, or None.

    Raises:
        ValueError: naming the option, the value and a valid example.
    """
    if growth is None:
        for name, value in options.items():
            raise ValueError(
                f"{_spelt(name)} {value}: --prune-method {method} has no penalty; e.g. --prune-method greg1"
            )
        return None
    given = {field: options[name] for name, field in _FIELDS.items() if name in options}
    for name, value in options.items():
        if _FIELDS.get(name) in _POSITIVE and not value > 0:
            raise ValueError(f"{_spelt(name)} {value}: must be above 0, e.g. {getattr(growth, _FIELDS[name])}")
    if given.get("stop_scope", "global") not in ("global", "layer"):
        raise ValueError(f"--reg-stop-scope {given['stop_scope']}: give global or layer")
    growth = replace(growth, **given)
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


def _spelt(name):
    return "--" + name.replace("_", "-")
