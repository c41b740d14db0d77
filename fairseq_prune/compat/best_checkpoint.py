"""Restarting fairseq's search for the best checkpoint."""

import sys
from collections.abc import Mapping
from typing import Any

# fairseq's functions with attributes for the best value so far and the number of validations without improvement.
_BEST = (("fairseq.checkpoint_utils", "save_checkpoint"),)
_PATIENCE = (
    ("fairseq_cli.train", "should_stop_early"),
    ("__main__", "should_stop_early"),  # python -m fairseq_cli.train
)


def _holders(functions):
    found = (getattr(sys.modules.get(module), function, None) for module, function in functions)
    return [holder for holder in found if holder is not None]


def forget_best() -> None:
    """Restart the search for the best checkpoint and the patience of early stopping.

    fairseq keeps both as function attributes. A pruned model cannot be measured against the loss of the dense
    one: without this, ``checkpoint_best.pt`` would stay that of the dense model.
    """
    for holder in _holders(_BEST + _PATIENCE):
        if hasattr(holder, "best"):
            del holder.best


def patience() -> dict[str, Any]:
    """State of early stopping (``--patience``): dict of plain values, empty before the first validation."""
    return next((dict(best=h.best, num_runs=h.num_runs) for h in _holders(_PATIENCE) if hasattr(h, "best")), {})


def restore_patience(state: Mapping[str, Any]) -> None:
    """Restore the patience of an interrupted run, as :func:`patience` returned it."""
    for holder in _holders(_PATIENCE):
        vars(holder).update(state)


def hold_best(maximize: bool) -> None:
    """Choose no best checkpoint until :func:`forget_best` is called, and restart the patience.

    Call it before each validation of a model that is still shrinking, which gets worse by design. fairseq compares
    with the best value so far, so an unbeatable value keeps it from writing ``checkpoint_best.pt``.

    Args:
        maximize: the run's --maximize-best-checkpoint-metric.
    """
    from fairseq import checkpoint_utils

    forget_best()
    checkpoint_utils.save_checkpoint.best = float("inf") if maximize else float("-inf")


def forget_best_of(extra_state: dict[str, Any]) -> None:
    """As :func:`forget_best`, for the run that will continue from a file.

    Args:
        extra_state: the checkpoint's ``extra_state``; changed in place.
    """
    extra_state.pop("best", None)
    extra_state.get("trainer", {}).pop("patience", None)
