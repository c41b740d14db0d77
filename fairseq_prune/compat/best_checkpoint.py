"""Restarting fairseq's search for the best checkpoint."""

import sys
from collections.abc import Mapping
from typing import Any

# Function attributes of fairseq hold the best value so far, and for how many validations it has not been beaten.
_BEST = (("fairseq.checkpoint_utils", "save_checkpoint"),)
_PATIENCE = (
    ("fairseq_cli.train", "should_stop_early"),
    ("__main__", "should_stop_early"),  # python -m fairseq_cli.train
)


def _holders(functions):
    found = (getattr(sys.modules.get(module), function, None) for module, function in functions)
    return [holder for holder in found if holder is not None]


def forget_best() -> None:
    """Let the search for the best checkpoint, and the patience of early stopping, begin anew.

    fairseq keeps both as function attributes. A dense model's loss is no yardstick for a pruned
    one: without this ``checkpoint_best.pt`` would stay the dense model's.
    """
    for holder in _holders(_BEST + _PATIENCE):
        if hasattr(holder, "best"):
            del holder.best


def patience() -> dict[str, Any]:
    """How far early stopping (``--patience``) is, dict of plain values; empty where it has nothing to compare with."""
    return next((dict(best=h.best, num_runs=h.num_runs) for h in _holders(_PATIENCE) if hasattr(h, "best")), {})


def restore_patience(state: Mapping[str, Any]) -> None:
    """Take up the patience of an interrupted run, from :func:`patience`."""
    for holder in _holders(_PATIENCE):
        vars(holder).update(state)


def hold_best(maximize: bool) -> None:
    """Choose no best checkpoint for now, nor run out of patience; :func:`forget_best` ends it.

    A model that shrinks gets worse by design. fairseq compares with the best value so far, so one
    that nothing beats keeps it from writing ``checkpoint_best.pt``.

    Args:
        maximize: the run's --maximize-best-checkpoint-metric.
    """
    from fairseq import checkpoint_utils

    forget_best()
    checkpoint_utils.save_checkpoint.best = float("inf") if maximize else float("-inf")


def forget_best_of(extra_state: dict[str, Any]) -> None:
    """As :func:`forget_best`, for the run that will continue from a file.

    Args:
        extra_state: of the file's content; changed in place.
    """
    extra_state.pop("best", None)
    extra_state.get("trainer", {}).pop("patience", None)
