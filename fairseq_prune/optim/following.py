"""The interface of learning-rate schedulers that are told when pruning is over."""

from typing import Protocol, runtime_checkable


@runtime_checkable
class FollowsRemoval(Protocol):
    """A pruning task tells such a scheduler before every update; one of a user's own ``--user-dir`` too.

    fairseq's schedulers know their optimizer only. :mod:`fairseq_prune.compat.schedulers` introduces them to the task,
    and refuses one whose task would tell it nothing.
    """

    def begin_finetuning(self, epoch: int | None) -> None:
        """All that is to be removed is removed, or not yet.

        Args:
            epoch: number of the epoch in which it did, from 1; None: it has not, whatever the file said that a run of
                another plan continues from.
        """
