"""Whether a run sees the end of its schedule."""

from functools import partial


def check_reachable(
    schedule, max_epoch=0, max_update=0, batches_per_epoch=None, update_freq=(1,), skip_remainder=False
):
    """Refuse a schedule whose last event the run never sees.

    An event happens before the update that follows it, so at least one update has to remain.

    Args:
        schedule: the :class:`~fairseq_prune.pruning.schedule.Schedule`.
        max_epoch: the run's last epoch; 0 means no limit.
        max_update: the run's last update; 0 means no limit.
        batches_per_epoch: batches of one rank (count); None while unknown.
        update_freq: batches in an update, for each epoch; the last stands for all later ones.
        skip_remainder: the run drops what does not fill an update (--skip-remainder-batch).

    Raises:
        ValueError: naming the option and a value that would do.
    """
    limits = {
        ("ep", max_epoch): f"--max-epoch {max_epoch}",
        ("up", max_update): f"--max-update {max_update}",
    }
    if batches_per_epoch:
        per_epoch = partial(updates_in_epoch, batches_per_epoch, update_freq, skip_remainder)
        updates = sum(map(per_epoch, range(1, max_epoch + 1)))
        limits["up", updates] = f"--max-epoch {max_epoch} is {updates} updates"
        epochs = _epochs_begun(max_update, max_epoch, per_epoch)
        limits["ep", epochs] = f"--max-update {max_update} is reached in epoch {epochs}"
    limit, reason = min(
        ((n, reason) for (unit, n), reason in limits.items() if unit == schedule.unit and n), default=(None, None)
    )
    if limit and schedule.last >= limit:
        option = "--prune-end" if schedule.end else "--prune-start"
        raise ValueError(
            f"{option} {schedule.last}{schedule.unit} is not reached before the end of the run ({reason}); "
            f"give at most {option} {limit - 1}{schedule.unit}"
        )


def updates_in_epoch(batches, update_freq, skip_remainder, epoch):
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


def _epochs_begun(max_update, max_epoch, updates_in):
    """Number of the epoch in which an update falls, or that of the last epoch."""
    epoch, updates = 0, 0
    while updates < max_update and epoch < (max_epoch or max_update):
        epoch += 1
        updates += updates_in(epoch)
    return epoch
