"""Functions for checkpoints of particular tasks, which those tasks register."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from .. import register
from ..checkpoint.config import Config
from ..checkpoint.load import load_model, load_task
from ..compat import load_checkpoint
from ..errors import errors_of_a_file
from ..pruning.registry import Registry

if TYPE_CHECKING:
    from argparse import Namespace

    from fairseq.models import BaseFairseqModel
    from fairseq.tasks import FairseqTask
    from omegaconf import DictConfig


Found = TypeVar("Found")


def load_for(
    registry: Registry[Found], options: Namespace, refusal: str
) -> tuple[Found, BaseFairseqModel, FairseqTask, DictConfig]:
    """Load a checkpoint whose task is in a registry.

    Args:
        registry: of task name -> function, filled by :func:`~fairseq_prune.register`.
        options: with ``checkpoint``, a path, and ``data``, None for the training's.
        refusal: what is said of other tasks.

    Returns:
        (the task's function, model, task, config of the checkpoint).

    Raises:
        ValueError: no checkpoint, or one of a task that is not in the registry; data that do not fit it.
    """
    register()
    with errors_of_a_file(options.checkpoint, "its config is of no task"):
        name = Config(load_checkpoint(options.checkpoint)).task
    if name not in registry:
        known = " or ".join(sorted(registry))
        raise ValueError(f"{options.checkpoint}: of task {name}; {refusal}, give a checkpoint of {known}")
    task, config = load_task(options.checkpoint, options.data)
    return registry[name], load_model(options.checkpoint, task), task, config
