"""What the log says of removals that are still to come, and of what comes half removed."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from .pruner import Pruner


logger = logging.getLogger(__name__)


def tell_pending(pruner: Pruner) -> str | None:
    """What a pruner has still to remove, one line; None if nothing.

    Args:
        pruner: :class:`~.pruner.Pruner`.
    """
    if not pruner.pending:
        return None
    events = f"{pruner.events_done} of {pruner.plan.schedule.num_events} pruning events"
    selected = ", what was selected is still there" if pruner.approaching else ""
    return f"--prune-method {pruner.plan.method} saw {events}{selected}; {pruner.fraction_removed:.4f} removed"


def warn_of_half_shrunk(model: nn.Module) -> None:
    """Warn if the weights come from a run that was still shrinking units.

    Args:
        model: ``nn.Module``, with or without connectivity.
    """
    vectors = [c.vector for c in getattr(model, "connectivity", {}).values()]
    count = sum(int(((v != 0) & (v != 1)).sum()) for v in vectors)
    if count:
        logger.warning(
            f"{count:,} units come half shrunk, with connectivity between 0 and 1, and stay so; better resume the run "
            "they are from, or start from a finished one"
        )


def warn_of_unfinished(pending: str) -> None:
    """Say that a run ended too early, and what it had still to remove (:func:`tell_pending`)."""
    logger.warning(
        f"NOT DONE: the run ended before it had removed what was asked: {pending}; resume with the "
        "same command and a later end (--max-epoch, --max-update, --stop-min-lr, --stop-time-hours)"
    )
