"""Checks of a run's options that need no data."""

from argparse import Namespace
from dataclasses import dataclass
from typing import Any

from fairseq.optim.lr_scheduler import LR_SCHEDULER_DATACLASS_REGISTRY

from ..checkpoint.start import Start
from ..distillation.options import read_distillation
from ..methods.checks import approach_of
from ..needs import refuse_idle_fields
from .evidence import KINDS
from .executing import check_execute
from .options import PruneOptions
from .own_options import whole_config
from .plan import Plan
from .reachable import RunLength, check_long_enough


@dataclass(frozen=True)
class RunDescription:
    """The part of a run that the needs of its options (:class:`~fairseq_prune.needs.Need`) look at.

    Args:
        options: config with the fields of :class:`~.options.PruneOptions`.
        plan: the run's :class:`~.plan.Plan`.
    """

    options: Any
    plan: Plan


def check_run(cfg: PruneOptions, plan: Plan, start: Start) -> None:
    """Refuse what is certain to fail, before any data are loaded.

    Args:
        cfg: the task's config inside the full config.
        plan: the run's plan.
        start: what it starts from.

    Raises:
        ValueError: naming the option, the value and a valid example.
    """
    check_execute(cfg)
    run = RunDescription(cfg, plan)
    refuse_idle_fields(PruneOptions, cfg, run)
    _check_scheduler(getattr(whole_config(cfg), "lr_scheduler", None), run)
    if cfg.prune_amp and cfg.prune_bf16:
        raise ValueError("--amp --bf16: are two kinds of mixed precision; give --bf16, or --amp --prune-amp-bf16")
    read_distillation(cfg)
    if plan.prunes or not start.resumes:  # else fairseq starts from new weights, and so does a task that prunes nothing
        start.check()
    if cfg.prune_ddp_backend == "fully_sharded":
        raise ValueError("--ddp-backend fully_sharded: parameters are split over ranks; use e.g. legacy_ddp")
    coarse = next((name for name in ("fp16", "bf16") if getattr(cfg, f"prune_{name}")), None)
    if coarse and any(KINDS[kind].fine for kind in plan.evidence):
        raise ValueError(
            f"--{coarse}: not precise enough for the derivatives of --prune-method {plan.method}; use --amp"
        )
    if plan.permute and cfg.prune_store_ema:
        raise ValueError("--store-ema: averages cannot be reordered; leave out --prune-permute")
    kind = approach_of(plan)
    if kind and kind.gated and cfg.prune_store_ema:
        raise ValueError(f"--store-ema: averages miss the gates of --prune-method {plan.method}; leave it out")
    if plan.prunes:
        start.require_elsewhere(cfg.prune_save_dir)
        check_long_enough(plan, RunLength(cfg.prune_max_epoch, cfg.prune_max_update))


def _check_scheduler(cfg, run):
    """Refuse what a scheduler of learning rates was given without effect, whoever wrote the scheduler."""
    name = cfg.lr_scheduler if isinstance(cfg, Namespace) else getattr(cfg, "_name", None)
    if config := LR_SCHEDULER_DATACLASS_REGISTRY.get(name):
        refuse_idle_fields(config, cfg, run)
