"""Loading a checkpoint through fairseq, with a one-line message if something does not fit."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from .. import register
from ..errors import DamagedData, errors_of_a_file, one_line_data_errors
from ..files.messages import in_short

if TYPE_CHECKING:
    from fairseq.models import BaseFairseqModel
    from fairseq.tasks import FairseqTask
    from omegaconf import DictConfig

logger = logging.getLogger(__name__)


def load_task(path: str, data: str | None = None, pruning: bool = False) -> tuple[FairseqTask, DictConfig]:
    """The task of a checkpoint, for evaluation; warns if the data's dictionaries are not those of the training.

    Args:
        path: checkpoint.
        data: the DATA argument, usually a folder; None: that of the checkpoint.
        pruning: use the pruning version of the task, if there is one.

    Returns:
        (task, config of the checkpoint).

    Raises:
        ValueError: there is no such folder (not checked for tasks that know data by name and find them themselves).
    """
    from fairseq import checkpoint_utils, tasks, utils

    register()
    state = checkpoint_utils.load_checkpoint_to_cpu(path, {"data": data} if data else None)
    with errors_of_a_file(path, "its config is of no task"):
        config = state["cfg"]
        if pruning and f"prune_{config.task._name}" in tasks.TASK_REGISTRY:
            config.task._name = f"prune_{config.task._name}"
        folder = utils.split_paths(config.task.data)[0]
    knows_names = getattr(tasks.TASK_REGISTRY.get(config.task._name), "knows_data_by_name", False)
    if not knows_names and not os.path.isdir(folder):
        raise ValueError(f"--data {folder}: no such folder; give the data of the training, e.g. --data data-bin/demo")
    with errors_of_a_file(path, "its task cannot be set up"):
        task = tasks.setup_task(config.task, from_checkpoint=True)
    if data and (differs := other_words(path, task)):
        logger.warning(f"--data {data}: {path} was trained with another {differs}, so its words mean something else")
    return task, config


def other_words(path: str, task: FairseqTask) -> str | None:
    """Which dictionary of a task is not that of a checkpoint's training; None if none, or if those data are gone.

    A checkpoint does not hold the words themselves, so another dictionary with as many words would fit as well.
    """
    mine = _dictionaries(task)
    try:
        theirs = _dictionaries(load_task(path)[0]) if mine else {}
    except (ValueError, SystemExit):
        return None
    return next((name for name, words in mine.items() if words != theirs.get(name, words)), None)


def _dictionaries(task):
    found = {side: getattr(task, f"{side}_dictionary", None) for side in ("source", "target")}
    return {f"{side} dictionary": words for side, words in found.items() if words is not None}


def load_split(task: FairseqTask, split: str) -> None:
    """Load a split of a task's data.

    Args:
        task: fairseq task.
        split: e.g. ``"valid"``.

    Raises:
        SystemExit: there is no such split, or it is damaged; in one line.
    """
    with one_line_data_errors(getattr(task.cfg or getattr(task, "args", None), "data", None)):
        task.load_dataset(split)


def has_split(task: FairseqTask, split: str) -> bool:
    """True if a task's data have a split, which is then loaded; arguments as for :func:`load_split`.

    Raises:
        SystemExit: the split is damaged; in one line.
    """
    try:
        load_split(task, split)
    except (KeyError, AssertionError, FileNotFoundError, SystemExit) as error:  # depends on the task
        if isinstance(error.__context__, DamagedData):
            raise
        return False
    return True


def load_model(path: str, task: FairseqTask) -> BaseFairseqModel:
    """The model of a checkpoint, as a task builds it.

    Raises:
        ValueError: the task cannot load it, e.g. because its dictionary has another size; or a weight is not finite.
    """
    from fairseq import checkpoint_utils

    try:
        models, _ = checkpoint_utils.load_model_ensemble([path], task=task)
    except SystemExit as ended:  # raised by compat, for fairseq's programs
        if (error := ended.__cause__) is None:
            raise
        vocabulary = "the vocabulary of the data is not the checkpoint's; " if "embed_tokens" in str(error) else ""
        raise ValueError(
            f"{path}: task {type(task).__name__} does not load it: {vocabulary}{in_short(error)}"
        ) from error
    for name, parameter in models[0].named_parameters():
        if not parameter.isfinite().all():
            raise ValueError(f"{path}: {name} has weights that are not finite; give a checkpoint from before")
    return models[0]
