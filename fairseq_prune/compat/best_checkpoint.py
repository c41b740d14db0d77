"""When fairseq's search for the best checkpoint begins."""

import sys


def forget_best():
    """Let the search for the best checkpoint, and the patience of early stopping, begin anew.

    fairseq keeps both as function attributes. A dense model's loss is no yardstick for a pruned
    one: without this ``checkpoint_best.pt`` would stay the dense model's.
    """
    for module, function in (
        ("fairseq.checkpoint_utils", "save_checkpoint"),
        ("fairseq_cli.train", "should_stop_early"),
        ("__main__", "should_stop_early"),  # python -m fairseq_cli.train
    ):
        holder = getattr(sys.modules.get(module), function, None)
        if hasattr(holder, "best"):
            del holder.best


def hold_best(maximize):
    """Choose no best checkpoint for now, nor run out of patience; :func:`forget_best` ends it.

    A model that shrinks gets worse by design. fairseq compares with the best value so far, so one
    that nothing beats keeps it from writing ``checkpoint_best.pt``.

    Args:
        maximize: the run's --maximize-best-checkpoint-metric.
    """
    from fairseq import checkpoint_utils

    forget_best()
    checkpoint_utils.save_checkpoint.best = float("inf") if maximize else float("-inf")
