"""An SRP plan: the options of a run, checked."""

import os
from dataclasses import asdict, dataclass
from typing import Optional

from fairseq.file_io import PathManager

from ...needs import refuse_idle_fields
from ...pruning.budget.widths import BUDGETS
from ...pruning.importance.connectivity import CONNECTIVITY_SCORES
from ...pruning.shrink import SHRINKINGS
from .options import SrpOptions

OPTIONS = {
    "rate": "--compression-rate",
    "shrinks": "--srp",
    "stage": "--pruning-stage",
    "rounds": "--pruning-iter",
    "period": "--pruning-period",
    "updates": "--srp-pruning-updates",
    "warming_up": "--warming-up",
    "decreasing": "--decreasing",
    "budget": "--srp-budget",
    "score": "--srp-score",
    "score_batches": "--srp-score-batches",
    "seed": "--seed",
}
STAGES = {0: ("residual", "qk", "vo", "neuron"), 1: ("residual",), 2: ("qk", "vo", "neuron")}


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
        score: name in the table of connectivity scores.
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
    score: str = "signed"
    score_batches: int = 16
    seed: int = 1

    @property
    def prunes(self):
        """True if the run cuts anything."""
        return self.rate is not None

    @property
    def last_epoch(self):
        """The epoch in which the last cut falls, from 1; with ``updates``, that in which the first round begins."""
        if self.shrinks and not self.updates:
            return self.warming_up + self.rounds * self.period
        return self.warming_up + 1

    def last_update(self, updates_in):
        """The update in which the last cut falls, from 1.

        Args:
            updates_in: function from an epoch's number to its updates (count).
        """
        if self.shrinks and not self.updates:
            return sum(map(updates_in, range(1, self.last_epoch + 1)))
        return sum(map(updates_in, range(1, self.last_epoch))) + (self.rounds * self.updates if self.shrinks else 1)

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
    _check_start(cfg)
    refuse_idle_fields(SrpOptions, cfg, cfg)
    rate = 0.2 if cfg.srp and cfg.compression_rate is None else cfg.compression_rate
    if rate is None:
        return SrpPlan()
    if not 0 < rate < 1:
        raise ValueError(
            f"--compression-rate {rate}: it is the fraction of the parameters that remains, in (0, 1), e.g. 0.2"
        )
    if cfg.pruning_stage not in STAGES:
        raise ValueError(
            f"--pruning-stage {cfg.pruning_stage}: give 0 (all units), 1 (residual widths) or 2 (the rest)"
        )
    for option, least in (("pruning_iter", 1), ("pruning_period", 1), ("warming_up", 0), ("srp_score_batches", 1)):
        _at_least(least, option, getattr(cfg, option))
    if cfg.srp_pruning_updates is not None:
        _at_least(1, "srp_pruning_updates", cfg.srp_pruning_updates)
    shrinking = _named("--decreasing", SHRINKINGS, cfg.decreasing)
    if cfg.srp_pruning_updates and shrinking.counts == "ep":
        raise ValueError(f"--decreasing {cfg.decreasing}: shrinks by epochs; with --srp-pruning-updates give e.g. sa")
    _named("--srp-budget", BUDGETS, cfg.srp_budget)
    _named("--srp-score", CONNECTIVITY_SCORES, cfg.srp_score)
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
        score=cfg.srp_score,
        score_batches=cfg.srp_score_batches,
        seed=cfg.prune_seed,
    )
    check_end(plan, cfg.prune_max_epoch, cfg.prune_max_update)
    return plan


def _check_start(cfg):
    path = cfg.pretrained_model
    if path and is_fresh(cfg) and not PathManager.isfile(path):
        raise ValueError(f"--pretrained-model {path}: no such file; give e.g. checkpoints/base/checkpoint_best.pt")
    if path and cfg.prune_finetune_from_model:
        raise ValueError("--pretrained-model and --finetune-from-model: both name the weights to start from; give one")


def is_fresh(cfg):
    """True if the run does not go on from a checkpoint: its own, ``--restore-file`` or ``--continue-once``."""
    named = cfg.prune_restore_file != "checkpoint_last.pt" or cfg.srp_continue_once
    return not named and not PathManager.isfile(os.path.join(cfg.prune_save_dir, "checkpoint_last.pt"))


def _at_least(least, option, value):
    if value < least:
        raise ValueError(f"--{option.replace('_', '-')} {value}: give at least {least}")


def _named(option, table, name):
    try:
        return table[name]
    except ValueError as error:
        raise ValueError(f"{option} {name}: {error}") from None


def check_end(plan, max_epoch, max_update, updates_in=None):
    """Refuse a plan whose last cut the run does not see.

    Args:
        plan: a :class:`SrpPlan` that prunes.
        max_epoch: the run's last epoch; 0 means no limit.
        max_update: the run's last update; 0 means no limit.
        updates_in: function from an epoch's number to its updates (count); None while unknown.

    Raises:
        ValueError: naming the option and a value that would do.
    """
    last, known = plan.last_epoch, updates_in is not None
    if max_epoch and last > max_epoch:
        _refuse_end(plan, f"in epoch {last}", f"--max-epoch {max_epoch}", f"--max-epoch {last}")
    if max_update and (known or plan.updates):
        last = plan.last_update(updates_in or (lambda epoch: 0))
        if last > max_update:
            _refuse_end(plan, f"in update {last}", f"--max-update {max_update}", f"--max-update {last}")
    if max_epoch and known:
        last, total = plan.last_update(updates_in), sum(map(updates_in, range(1, max_epoch + 1)))
        if last > total:
            reason = f"--max-epoch {max_epoch} is {total} updates"
            _refuse_end(plan, f"in update {last}", reason, f"--max-epoch {-(-last * max_epoch // max(total, 1))}")


def _refuse_end(plan, last, end, example):
    option, value = ("--pruning-period", plan.period) if plan.shrinks else ("--warming-up", plan.warming_up)
    if plan.shrinks and plan.updates:
        option, value = "--srp-pruning-updates", plan.updates
    raise ValueError(f"{option} {value}: the last cut is {last}, after the run ({end}); give e.g. {example}")
