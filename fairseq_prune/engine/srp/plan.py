"""An SRP plan: the options of a run, checked."""

import os
from dataclasses import asdict, dataclass
from typing import Optional

from fairseq.file_io import PathManager

from ...pruning.budget.widths import BUDGETS
from ...pruning.shrink import SHRINKINGS

STAGES = {0: ("residual", "qk", "vo", "ffn"), 1: ("residual",), 2: ("qk", "vo", "ffn")}


@dataclass(frozen=True)
class SrpPlan:
    """What an SRP run cuts and when. Built by :func:`make_srp_plan`.

    Args:
        rate: parameters that remain, in (0, 1); None: nothing is pruned.
        shrinks: False: cut at once.
        stage: key of :data:`STAGES`.
        rounds: of scoring, shrinking and cutting (count).
        period: epochs in a round.
        updates: updates in a round, instead of ``period``.
        warming_up: epochs before the first round.
        decreasing: name in the table of shrinkings.
        budget: name in the table of budgets.
        score_batches: that score the units (count, over all ranks).
        seed: of the choice of those batches.
    """

    rate: Optional[float] = None
    shrinks: bool = False
    stage: int = 0
    rounds: int = 1
    period: int = 15
    updates: Optional[int] = None
    warming_up: int = 0
    decreasing: str = "sa"
    budget: str = "exact"
    score_batches: int = 16
    seed: int = 1

    @property
    def prunes(self):
        """True if the run cuts anything."""
        return self.rate is not None

    @property
    def last_epoch(self):
        """The epoch whose end is the last cut; 0 if rounds are counted in updates."""
        if not self.shrinks:
            return self.warming_up
        return 0 if self.updates else self.warming_up + self.rounds * self.period

    def plain(self):
        """Plain values, to store in a checkpoint and compare on a resume."""
        return asdict(self)


def make_srp_plan(cfg):
    """Check the options of a run.

    Args:
        cfg: config with the fields of :class:`~.options.SrpOptions` and ``PruneOptions``.

    Returns:
        A :class:`SrpPlan`.

    Raises:
        ValueError: naming the option, the value and a valid example.
    """
    path = cfg.pretrained_model
    if path and is_fresh(cfg) and not PathManager.isfile(path):
        raise ValueError(f"--pretrained-model {path}: no such file; give e.g. checkpoints/base/checkpoint_best.pt")
    if path and cfg.prune_finetune_from_model:
        raise ValueError("--pretrained-model and --finetune-from-model: both name the weights to start from; give one")
    rate = 0.2 if cfg.srp and cfg.compression_rate is None else cfg.compression_rate
    if rate is None:
        return SrpPlan()
    if not 0 < rate < 1:
        raise ValueError(
            f"--compression-rate {rate}: it is the fraction of the parameters that remains, in (0, 1), e.g. 0.2"
        )
    if cfg.pruning_stage not in STAGES:
        raise ValueError(f"--pruning-stage {cfg.pruning_stage}: give 0 (all units), 1 (residual widths) or 2 (the rest)")
    for option, least in (("pruning_iter", 1), ("pruning_period", 1), ("warming_up", 0), ("srp_score_batches", 1)):
        _at_least(least, option, getattr(cfg, option))
    if cfg.srp_pruning_updates is not None:
        _at_least(1, "srp_pruning_updates", cfg.srp_pruning_updates)
    shrinking = _named("--decreasing", SHRINKINGS, cfg.decreasing)
    if cfg.srp_pruning_updates and shrinking.counts == "ep":
        raise ValueError(f"--decreasing {cfg.decreasing}: shrinks by epochs; with --srp-pruning-updates give e.g. sa")
    _named("--srp-budget", BUDGETS, cfg.srp_budget)
    plan = SrpPlan(
        rate=rate,
        shrinks=cfg.srp,
        stage=cfg.pruning_stage,
        rounds=cfg.pruning_iter if cfg.srp else 1,
        period=cfg.pruning_period,
        updates=cfg.srp_pruning_updates,
        warming_up=cfg.warming_up,
        decreasing=cfg.decreasing,
        budget=cfg.srp_budget,
        score_batches=cfg.srp_score_batches,
        seed=cfg.prune_seed,
    )
    _check_end(plan, cfg.prune_max_epoch, cfg.prune_max_update)
    return plan


def is_fresh(cfg):
    """True if the run does not continue from a checkpoint of its own folder or from ``--restore-file``."""
    own = cfg.prune_restore_file == "checkpoint_last.pt"
    return own and not PathManager.isfile(os.path.join(cfg.prune_save_dir, "checkpoint_last.pt"))


def _at_least(least, option, value):
    if value < least:
        raise ValueError(f"--{option.replace('_', '-')} {value}: give at least {least}")


def _named(option, table, name):
    try:
        return table[name]
    except ValueError as error:
        raise ValueError(f"{option} {name}: {error}") from None


def _check_end(plan, max_epoch, max_update):
    if max_epoch and plan.last_epoch > max_epoch:
        raise ValueError(
            f"--pruning-period {plan.period}: the last cut is at the end of epoch {plan.last_epoch}, after the run "
            f"(--max-epoch {max_epoch}); give e.g. --max-epoch {plan.last_epoch}"
        )
    if max_update and plan.shrinks and plan.updates and plan.rounds * plan.updates > max_update:
        raise ValueError(
            f"--srp-pruning-updates {plan.updates}: the last cut is after {plan.rounds * plan.updates} updates, after "
            f"the run (--max-update {max_update}); give e.g. --max-update {plan.rounds * plan.updates}"
        )
