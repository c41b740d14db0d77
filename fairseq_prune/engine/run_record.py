"""How a run was started: command line, configuration and source, in run.json beside its checkpoints."""

import argparse
import functools
import json
import os
import platform
import shlex
import subprocess
import sys
import types
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fairseq
import torch
from omegaconf import OmegaConf

from ..files.json_file import read_json, write_json
from . import ranks
from .harmless import harmless, set_aside
from .own_options import whole_config

FILE = "run.json"
PACKAGE = Path(__file__).resolve().parents[1]


def note_start(task_config: Any, epoch: int) -> None:
    """Add to run.json that training starts, after the starts that stand there. Only rank 0 writes.

    Args:
        task_config: the task's config inside the full config, which names the folder; nothing is written with
            ``--no-save``, or where the full config is not there.
        epoch: with which it starts, from 1.
    """
    config = whole_config(task_config)
    if ranks.rank() or config is None or config.checkpoint.no_save:
        return
    path = os.path.join(config.checkpoint.save_dir, FILE)
    with harmless(path):
        write_json(path, [*_starts_before(path), _start(config, epoch)])


def _start(config, epoch):
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join(sys.argv),
        "folder": os.getcwd(),
        "epoch": epoch,
        "processes": ranks.world_size(),
        "source": source_revision(PACKAGE),
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "fairseq": fairseq.__version__},
        "config": _plain(config),
    }


def _starts_before(path):
    """The starts in a record; none of a damaged one, which is set aside."""
    try:
        starts = read_json(path)
        if starts is None or isinstance(starts, list) and all(isinstance(start, dict) for start in starts):
            return starts or []
        reason = "damaged, it holds no list of starts"
    except ValueError as error:
        reason = str(error).removeprefix(f"{path}: ").partition(";")[0]
    set_aside(path, reason)
    return []


@functools.cache  # of the code that runs, which stays what it is
def source_revision(package: Path) -> str | None:
    """Git's name of the commit that a package's files are of, with ``-dirty`` where they were changed since.

    Args:
        package: folder of the package.

    Returns:
        str; None if the package is not under version control, or there is no git.
    """
    if _git(package, "ls-files", "--error-unmatch", "__init__.py") is None:
        return None
    return _git(package, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")


def _git(folder, *words):
    try:
        environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
        done = subprocess.run(["git", "-C", folder, *words], capture_output=True, text=True, env=environment)
    except OSError:
        return None
    return None if done.returncode else done.stdout.strip()


def _plain(config):
    """Values that JSON has; legacy groups are Namespaces."""
    if OmegaConf.is_config(config):
        config = OmegaConf.to_container(config, resolve=True, enum_to_str=True)
    return json.loads(json.dumps(config, default=lambda v: vars(v) if isinstance(v, _NAMESPACES) else str(v)))


_NAMESPACES = argparse.Namespace | types.SimpleNamespace
