"""Whether a run is long enough to reach the end of its schedule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from ..pruning.schedule import Schedule

if TYPE_CHECKING:
    from .plan import Plan


@dataclass(frozen=True)
class RunLength:
    """The end of a run.

    Args:
        max_epoch: the last epoch; 0 means no limit.
        max_update: the last update; 0 means no limit.
        batches_per_epoch: batches of one rank (count); 0 while unknown.
        update_freq: batches in an update, for each epoch; the last stands for all later ones.
        skip_remainder: the run drops what does not fill an update (--skip-remainder-batch).
    """

    max_epoch: int = 0
    max_update: int = 0
    batches_per_epoch: int = 0
    update_freq: Sequence[int] = (1,)
    skip_remainder: bool = False

    @property
    def _updates_in(self):
        return partial(updates_in_epoch, self.batches_per_epoch, self.update_freq, self.skip_remainder)

    def updates_by(self, epoch: int) -> int:
        """Updates until the end of an epoch (count); 0 while unknown."""
        return sum(map(self._updates_in, range(1, epoch + 1))) if self.batches_per_epoch else 0

    def epoch_of(self, update: int, last: int = 0) -> int:
        """Number of the epoch in which an update falls; that of the last epoch, if there is one, at most."""
        epoch, updates = 0, 0
        while updates < update and epoch < (last or update):
            epoch += 1
            updates += self._updates_in(epoch)
        return epoch

    def limit(self, unit: str) -> tuple[int, str]:
        """(Last epoch or update, the option that says so), the tightest that is known; 0 without any."""
        limits = {
            ("ep", self.max_epoch): f"--max-epoch {self.max_epoch}",
            ("up", self.max_update): f"--max-update {self.max_update}",
        }
        if self.batches_per_epoch:
            updates, epoch = self.updates_by(self.max_epoch), self.epoch_of(self.max_update, self.max_epoch)
            limits["up", updates] = f"--max-epoch {self.max_epoch} is {updates} updates"
            limits["ep", epoch] = f"--max-update {self.max_update} is reached in epoch {epoch}"
        return min(((n, reason) for (of, n), reason in limits.items() if of == unit and n), default=(0, ""))


def check_reachable(schedule: Schedule, run: RunLength, start: str | None = None) -> None:
    """Refuse a schedule whose last event the run does not reach.

    An event happens before the update that follows it, so at least one update has to remain.

    Args:
        schedule: the :class:`~fairseq_prune.pruning.schedule.Schedule`.
        run: :class:`RunLength`.
        start: the option of its start and its value, as the user gave them.

    Raises:
        ValueError: naming the option and a value that would do.
    """
    limit, reason = run.limit(schedule.unit)
    if limit and schedule.last >= limit:
        asked = f"{schedule.end_option} {schedule.end}" if schedule.end else start or f"--prune-start {schedule.start}"
        raise ValueError(
            f"{asked} is not reached before the end of the run ({reason}); "
            f"give at most {asked.replace(f' {schedule.last}', f' {limit - 1}')}"
        )


def check_begun_in_time(schedule: Schedule, event: int, position: int) -> None:
    """Refuse to begin with the last of several events.

    Args:
        schedule: the :class:`~fairseq_prune.pruning.schedule.Schedule`.
        event: that is due first, from 1.
        position: where the run is (count of the schedule's unit).

    Raises:
        ValueError: the run begins after the end of its schedule.
    """
    if 1 < event == schedule.num_events and not schedule.steps:
        now = f"{position}{schedule.unit}"
        raise ValueError(
            f"{schedule.end_option} {schedule.end}: the run begins at {now}, past its schedule; "
            f"times count from update 0 of the first run, e.g. --prune-start {now}"
        )


def check_long_enough(plan: Plan, run: RunLength) -> None:
    """Refuse a plan that removes weights so long after its last event that the run may not reach it.

    Args:
        plan: :class:`~.plan.Plan`.
        run: :class:`RunLength`.

    Raises:
        ValueError: naming the method, the updates that it needs, and values that would do.
    """
    check_reachable(plan.schedule, run, plan.asked("start"))
    epoch, update = _end_of(plan, run)
    for unit, last in (("update", update), ("epoch", epoch)):
        limit, reason = run.limit(unit[:2])
        if last and limit and last > limit:
            assert plan.approach is not None  # what else takes time
            longer = f"--max-{unit} {last}"
            if unit == "update" and reason.startswith("--max-epoch"):
                longer = f"--max-epoch {run.epoch_of(last)}"
            raise ValueError(
                f"--prune-method {plan.method} may take until {unit} {last:,} to remove its units, and the run ends "
                f"before ({reason}); give e.g. {longer}, or {plan.approach.shorter}"
            )


def _end_of(plan, run):
    """(Epoch, update) in which the last units are removed at the latest, from 1; 0 where that is not known."""
    start, in_updates = plan.schedule.start.count, plan.schedule.unit == "up"
    if plan.epochs_needed:
        completed = (run.epoch_of(start + 1) - 1 if run.batches_per_epoch else 0) if in_updates else start
        last = completed + plan.epochs_needed
        return last, run.updates_by(last)
    return 0, plan.updates_needed and plan.updates_needed + (start if in_updates else run.updates_by(start))


def updates_in_epoch(batches: int, update_freq: Sequence[int], skip_remainder: bool, epoch: int) -> int:
    """Updates of one epoch (count).

    Args:
        batches: of one rank in an epoch (count).
        update_freq: batches in an update, for each epoch; the last stands for all later ones.
        skip_remainder: the run drops what does not fill an update (--skip-remainder-batch).
        epoch: its number, from 1.
    """
    frequency = update_freq[min(epoch, len(update_freq)) - 1]
    if skip_remainder:  # fairseq then drops the last batch, and the last group if it is not whole
        return (batches - 1) // frequency
    return -(-batches // frequency)
