"""Adversarial evaluation of a checkpoint, by what its task brings for it."""

from ..pruning.registry import Registry
from .for_task import load_for

ATTACKERS = Registry("task")  # filled by register(): functions (model, task, options) -> (report, its text)


def attack(options):
    """Attack the model of a checkpoint.

    Args:
        options: of ``fairseq-prune attack``.

    Returns:
        (report of plain values, the same as text).

    Raises:
        ValueError: no checkpoint, or one of a task without attacks; data or options that do not fit it.
    """
    evaluate, model, task, _ = load_for(ATTACKERS, options, "attacks change images")
    return evaluate(model, task, options)
