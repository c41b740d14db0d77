"""Facts about a checkpoint that take its model, built from its config.

Most are described from the file alone, without fairseq: :mod:`fairseq_prune.report`.
"""

import argparse
from collections.abc import Callable, Mapping
from typing import Any

from .. import register
from ..pruning.registry import Registry

DESCRIBERS: Registry[Callable[[Mapping[str, Any]], dict[str, Any]]] = Registry("task")  # filled by register()
REBUILT = ("prune_image_classification",)  # tasks whose models' cost depends on more than the shapes of tensors


def needs_rebuilding(checkpoint: Mapping[str, Any]) -> bool:
    """True if :func:`describe_model` has something to add to what the file alone says."""
    return _task(checkpoint) in REBUILT


def describe_model(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """Describe the model of a checkpoint.

    Returns:
        ``{"total": {...}, "layers": [...]}``, plain values that replace or join those of a report from
        the file; {} if there is nothing to add.

    Raises:
        ValueError: the model cannot be built.
    """
    if not needs_rebuilding(checkpoint):
        return {}
    register()
    return DESCRIBERS[_task(checkpoint)](checkpoint)


def _task(checkpoint):
    config = checkpoint.get("cfg")
    task = config.get("task") if isinstance(config, Mapping) else None
    options = vars(task) if isinstance(task, argparse.Namespace) else task
    return options.get("_name") if isinstance(options, Mapping) else None
