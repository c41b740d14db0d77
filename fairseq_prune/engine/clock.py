"""The position of a run, from fairseq's iterator over training batches."""

from collections.abc import Sequence
from functools import partial

from fairseq.data.iterators import EpochBatchIterator

from ..pruning.times import Position
from .options import PruneOptions
from .reachable import updates_in_epoch


class Clock:
    """Tells positions, and how long epochs are.

    Args:
        batches: fairseq's ``EpochBatchIterator`` over this rank's training batches.
        update_freq: batches in an update, for each epoch; the last stands for all later ones.
        skip_remainder: the run drops what does not fill an update (--skip-remainder-batch).
    """

    def __init__(self, batches: EpochBatchIterator, update_freq: Sequence[int], skip_remainder: bool):
        self._batches, self._frequencies, self._skips = batches, update_freq, skip_remainder

    def at(self, epochs: int, updates: int) -> Position:
        """The :class:`~fairseq_prune.pruning.times.Position` after so many epochs and updates (counts)."""
        return Position(epochs, updates, self._batches.end_of_epoch(), partial(self._updates_until, epochs + 1))

    def updates_in(self, epoch: int) -> int:
        """Updates of an epoch (count), by its number, from 1."""
        return updates_in_epoch(len(self._batches), self._frequencies, self._skips, epoch)

    def _updates_until(self, first, epochs):
        """Updates until the end of that many epochs, the first and the present update included (count)."""
        begun = -(-self._batches.iterations_in_epoch // self._frequencies[min(first, len(self._frequencies)) - 1])
        return sum(map(self.updates_in, range(first, first + epochs))) - (begun - 1)


def is_shown(position: Position, options: PruneOptions, trains: bool) -> bool:
    """True if what is logged now is shown; fairseq waits for all that is logged, for the device if it is there."""
    if not trains or position.ends_epoch:
        return True
    done = position.updates + 1
    return done == options.prune_max_update or done % options.prune_log_interval == 0
