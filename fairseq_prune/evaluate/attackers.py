"""Adversarial evaluation of a checkpoint, by the attacks that its task registers."""

from argparse import Namespace
from collections.abc import Callable
from typing import Any

from fairseq.models import BaseFairseqModel
from fairseq.tasks import FairseqTask

from ..pruning.registry import Registry
from .for_task import load_for

Attacker = Callable[[BaseFairseqModel, FairseqTask, Namespace], tuple[dict[str, Any], str]]
ATTACKERS: Registry[Attacker] = Registry("task")  # filled by register(): what gives a report and its text


def attack(options: Namespace) -> tuple[dict[str, Any], str]:
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
