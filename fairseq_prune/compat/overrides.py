"""fairseq-validate builds the checkpoint's task, with only those command-line options that its stored config has."""

from argparse import Namespace
from typing import Any

from omegaconf import open_dict

from .patching import patch_once

OPTION = "prune_execute"


def install() -> None:
    """Let ``fairseq-validate --prune-execute`` reach the task."""
    from fairseq import checkpoint_utils

    patch_once(checkpoint_utils, "load_checkpoint_to_cpu", _with_execution)


def _with_execution(load_checkpoint_to_cpu):
    """Add the option to the config of a checkpoint's task, even if the file is older or of the stock task."""

    def load(path, arg_overrides=None, *args, **kwargs):
        state = load_checkpoint_to_cpu(path, arg_overrides, *args, **kwargs)
        if (how := (arg_overrides or {}).get(OPTION)) is not None:
            _give(state["cfg"], how)
        return state

    return load


def _give(cfg: Any, how: str) -> None:
    from fairseq.tasks import TASK_REGISTRY

    task = cfg.task
    if isinstance(task, Namespace):
        return
    with open_dict(task):
        task[OPTION] = how
        if f"prune_{task._name}" in TASK_REGISTRY:
            task._name = f"prune_{task._name}"
