"""The options of SRP in the spelling of its authors, and what they mean as those of every pruning task.

See :mod:`fairseq_prune.engine.options` for what fairseq demands of such a dataclass.
"""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Optional

from fairseq.dataclass import FairseqDataclass
from fairseq.tasks import FairseqTask  # noqa: F401  (fairseq.dataclass is incomplete without it)

from ..engine.make_plan import make_plan
from ..methods.table import METHODS
from ..needs import Need, refuse_idle_fields
from ..pruning.budget.widths import BUDGETS

UNITS = {0: "width", 1: "width:residual", 2: "width:qk+vo+neuron"}  # by stage
IMPORTANCES = {"signed": "connectivity", "squared": "connectivity_squared"}  # by score


def _option(default, text, needs=None):
    return field(default=default, metadata={"help": text} | ({"needs": needs} if needs else {}))


_PRUNES = Need(lambda cfg: cfg.srp or cfg.compression_rate is not None, "--srp --compression-rate 0.2")
_SHRINKS = Need(lambda cfg: cfg.srp, "--srp")


@dataclass
class SrpOptions(FairseqDataclass):
    """Options that every SRP task has besides those of all pruning tasks."""

    srp: bool = _option(False, "shrink, then cut; without it, --compression-rate cuts at once")
    compression_rate: Optional[float] = _option(
        None, "parameters that remain, in (0, 1); default: 0.2 with --srp, else nothing is pruned"
    )
    pruning_stage: int = _option(0, "0 all units, 1 residual widths, 2 attention dimensions and neurons", _PRUNES)
    pruning_iter: int = _option(1, "rounds of scoring, shrinking and cutting", _SHRINKS)
    warming_up: int = _option(0, "epochs of plain training before the first scoring", _PRUNES)
    pretrained_model: Optional[str] = _option(None, "checkpoint to start from, stock or SRP, of any widths")
    srp_score_batches: int = _option(16, "training batches that score the units", _PRUNES)
    srp_score: str = _option("signed", "of a unit: signed, the authors'; or squared, better near convergence", _PRUNES)
    srp_budget: str = _option("exact", "exact, or legacy: the widths of the authors' formula", _PRUNES)
    weighted_layernorm: bool = _option(False, "see the SRP architectures")
    srp_plain_layernorm: bool = _option(False, "see the SRP architectures")
    arch: Optional[str] = _option(None, "for training; fairseq-generate takes it from the checkpoint")


def plan_options(cfg: Any, given: dict[str, Any]) -> dict[str, Any]:
    """Translate SRP's options into those that :func:`~fairseq_prune.engine.make_plan.make_plan` reads.

    Args:
        cfg: config with the fields of :class:`SrpOptions`.
        given: options in the spelling of all pruning tasks; these win.

    Raises:
        ValueError: naming the option, the value and a valid example.
    """
    refuse_idle_fields(SrpOptions, cfg, cfg)
    rate, method = cfg.compression_rate, given.get("method", "none")
    if not cfg.srp and rate is None:
        return given
    if rate is None:
        rate = 0.2
    if METHODS[method].prunes and method not in ("srp", "srp_once"):
        raise ValueError(
            f"--prune-method {method}: a run either masks or cuts; leave it out, or --srp and --compression-rate"
        )
    if "target" in given:
        raise ValueError(f"--prune-target {given['target']}: --compression-rate {rate} says it already; give one")
    _check(cfg, rate)
    asked = {
        "units": UNITS[cfg.pruning_stage],
        "importance": IMPORTANCES[cfg.srp_score],
        "budget": {"compression_rate": rate, "srp_budget": cfg.srp_budget},
        "start": f"{cfg.warming_up}ep",
        "batches": cfg.srp_score_batches,
        "spelling": {
            "start": f"--warming-up {cfg.warming_up}",
            "units": f"--pruning-stage {cfg.pruning_stage}",
            "importance": f"--srp-score {cfg.srp_score}",
        },
    }
    if cfg.srp or method == "srp":
        return {**asked, "steps": cfg.pruning_iter, **given, "method": "srp"}
    return {**asked, **given, "method": "srp_once"}


def _check(cfg, rate):
    if not 0 < rate < 1:
        raise ValueError(
            f"--compression-rate {rate}: it is the fraction of the parameters that remains, in (0, 1), e.g. 0.2"
        )
    if cfg.pruning_stage not in UNITS:
        raise ValueError(
            f"--pruning-stage {cfg.pruning_stage}: give 0 (all units), 1 (residual widths) or 2 (the rest)"
        )
    if cfg.srp_score not in IMPORTANCES:
        raise ValueError(f"--srp-score {cfg.srp_score}: unknown; known: {', '.join(IMPORTANCES)}")
    for option, name, least in (
        ("--pruning-iter", "pruning_iter", 1), ("--warming-up", "warming_up", 0),
        ("--srp-score-batches", "srp_score_batches", 1),
    ):  # fmt: skip
        if getattr(cfg, name) < least:
            raise ValueError(f"{option} {getattr(cfg, name)}: give at least {least}")
    try:
        BUDGETS[cfg.srp_budget]
    except ValueError as error:
        raise ValueError(f"--srp-budget {cfg.srp_budget}: {error}") from None


def as_state_of_a_pruner(state: dict[str, Any]) -> dict[str, Any]:
    """The state of a run of an earlier version, which kept SRP's beside the pruner's.

    Args:
        state: as :meth:`~fairseq_prune.engine.pruner.Pruner.state`, or as it was with the key ``"srp"``.
    """
    srp = state.get("srp")
    if srp is None or srp["plan"]["rate"] is None:
        return state
    plan, window = srp["plan"], srp["window"]
    cfg = SimpleNamespace(
        srp=plan["shrinks"], compression_rate=plan["rate"], pruning_stage=plan["stage"], pruning_iter=plan["rounds"],
        warming_up=plan["warming_up"], srp_score_batches=plan["score_batches"], srp_score=plan["score"],
        srp_budget=plan["budget"],
    )  # fmt: skip
    names = {"decreasing": "decreasing", "pruning_period": "period", "srp_pruning_updates": "updates"}
    approach = {name: plan[old] for name, old in names.items() if plan["shrinks"] and plan[old] is not None}
    before = make_plan(plan_options(cfg, {"approach": approach}), plan["seed"])
    events = srp["rounds_done"] + (window is not None)
    return {
        **state,
        "events_done": events,
        "events_left": before.schedule.num_events - events,
        "plan": before.plain(),
        "approach": window,
        "initial": {"all": 0.0},
        "seed": plan["seed"],
    }
