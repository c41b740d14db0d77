"""Adversarial evaluation of a checkpoint, by what its task brings for it."""

from .. import register
from ..compat import load_checkpoint
from ..deploy.config import Config
from ..deploy.load import load_model, load_task
from ..pruning.registry import Registry

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
    register()
    name = Config(load_checkpoint(options.checkpoint)).task
    if name not in ATTACKERS:
        known = " or ".join(sorted(ATTACKERS))
        raise ValueError(f"{options.checkpoint}: of task {name}; attacks change images, give a checkpoint of {known}")
    task, _ = load_task(options.checkpoint, options.data)
    return ATTACKERS[name](load_model(options.checkpoint, task), task, options)
