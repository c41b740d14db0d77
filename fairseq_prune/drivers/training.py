"""A training inside a driver: fairseq-train in a folder of its own, which a killed driver resumes."""

import argparse
import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from fairseq import options
from fairseq.tasks import TASK_REGISTRY

from .. import register
from ..compat import load_checkpoint
from ..distillation.options import EXAMPLE, SELF, read_distillation
from ..engine.mixin import PruneMixin
from ..errors import errors_named
from ..files.folder import require_writable
from ..files.messages import say_which
from .child import ends_with

_TEACHING = "--prune-teacher", "--prune-kd-"
USER_DIR = Path(__file__).resolve().parents[1]


def has_option(words: Iterable[str], option: str) -> bool:
    """True if a list of words has an option, with its value beside it or after it."""
    return any(word.partition("=")[0] == option for word in words)


def check_words(
    words: Sequence[str], command: str, own: Collection[str], refused: Mapping[str, str], needed: Mapping[str, str]
) -> None:
    """Refuse options of fairseq-train that a driver sets itself or cannot do with, and tasks that lose masks.

    Args:
        words: what stands after ``--train``.
        command: name of the driver.
        own: options that it sets; those of pruning are always among them, but for those of a teacher.
        refused: dict of other option -> why, and what to do instead.
        needed: dict of option -> example.

    Raises:
        ValueError: naming the option.
    """
    for word in words:
        option = word.partition("=")[0]
        if option in own or option.startswith("--prune-") and not option.startswith(_TEACHING):
            raise ValueError(f"{option}: is set by fairseq-prune {command} itself; leave it out after --train")
        if option in refused:
            raise ValueError(f"{option}: {refused[option]}")
    for option, example in needed.items():
        if not has_option(words, option):
            raise ValueError(
                f"{option}: options of fairseq-train are needed to train; add e.g. --train {option} {example}"
            )
    _check_task(words)
    options = parse_words("data", words)
    _check_figures(options.tensorboard_logdir)
    _check_teacher(options, command)


def _check_task(words):
    """Hours of other work may come before the training: it should not end at a task that cannot keep masks."""
    task = option_of(words, "--task")
    register()
    if not issubclass(TASK_REGISTRY.get(task, object), PruneMixin):
        known = sorted(name for name, kind in TASK_REGISTRY.items() if issubclass(kind, PruneMixin))
        raise ValueError(f"--task {task}: does not keep weights removed; give one of {', '.join(known)}")


def _check_figures(folder):
    """A training finds out when it writes the first ones."""
    try:
        if folder:
            require_writable(folder)
    except OSError as error:
        raise ValueError(say_which(error, {"--tensorboard-logdir": folder})) from None


def _check_teacher(options, command):
    """A training looks for its teacher when it begins."""
    asked = read_distillation(options)
    if asked and asked.teacher == SELF:
        raise ValueError(
            f"{asked.asked}: trainings of {command} begin with different models; give a file, e.g. {EXAMPLE}"
        )
    if asked:
        with errors_named(asked.asked):
            load_checkpoint(asked.teacher)


def parse_words(data: str, words: Iterable[object]) -> argparse.Namespace:
    """Read the options of a training as fairseq-train does.

    Args:
        data: the DATA argument.
        words: further options, list.

    Raises:
        ValueError: fairseq-train would not take them.
    """
    said = io.StringIO()
    arguments = [str(word) for word in (data, "--user-dir", USER_DIR, *words)]
    try:
        with contextlib.redirect_stderr(said):
            return options.parse_args_and_arch(options.get_training_parser(), input_args=arguments)
    except SystemExit:
        reason = " ".join(said.getvalue().rpartition("error: ")[2].split())
        raise ValueError(f"--train: {reason[:200]}; fairseq-train --help lists its options") from None


def option_of(words: Iterable[str], option: str) -> str | None:
    """The value of an option among words, str; None without it."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument(option, dest="value")
    return parser.parse_known_args(list(words))[0].value


def command_of(data: str, folder: str, words: Iterable[object]) -> list[str]:
    """The command of a training, list of str.

    Args:
        data: the DATA argument.
        folder: of its checkpoints.
        words: further options, list.
    """
    command: list[object] = [
        sys.executable,
        "-m",
        "fairseq_cli.train",
        data,
        "--user-dir",
        USER_DIR,
        "--save-dir",
        folder,
        *words,
    ]
    return [str(word) for word in command]


def train(data: str, folder: str, words: Iterable[object]) -> None:
    """Run or resume a training to its end.

    Args:
        data: the DATA argument.
        folder: of its checkpoints.
        words: further options, list.

    Raises:
        ValueError: the training failed; its own message is on the terminal.
    """
    code = subprocess.run(command_of(data, folder, words), check=False, preexec_fn=ends_with(os.getpid())).returncode
    if code:
        raise ValueError(f"fairseq-train stopped with status {code} in {folder}; see its message above")
