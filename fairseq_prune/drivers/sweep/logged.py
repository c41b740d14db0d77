"""A trial's training: its output goes to a file in its folder, and it can be stopped early."""

import json
import os
import subprocess
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ...files.locks import StrPath
from ..child import ends_with
from ..training import command_of

LOG = "train.log"
_POLL = 1.0  # seconds
_PATIENCE = 30  # seconds, for a training to end when it is told to


def train_logged(data: str, folder: str, words: Iterable[object], hopeless: Callable[[], bool]) -> bool:
    """Run or resume a training to its end, or until it is hopeless.

    Args:
        data: the DATA argument.
        folder: of its checkpoints, and of its output.
        words: further options, list.
        hopeless: function that is called every second -> True to stop.

    Returns:
        False if it was stopped.

    Raises:
        ValueError: the training failed.
    """
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, LOG)
    with open(path, "ab") as log:
        process = subprocess.Popen(
            command_of(data, folder, words), stdout=log, stderr=subprocess.STDOUT, preexec_fn=ends_with(os.getpid())
        )
        try:
            while (code := _ended(process)) is None:
                if hopeless():
                    return False
        finally:
            _end(process)
    if code:
        raise ValueError(f"fairseq-train stopped with status {code}: {_last_line(path)} (all of it: {path})")
    return True


def _ended(process):
    try:
        return process.wait(timeout=_POLL)
    except subprocess.TimeoutExpired:
        return None


def _end(process):
    """The folder is free when this returns."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout=_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _last_line(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        lines = [line.strip() for line in file if line.strip()]
    return lines[-1][:200] if lines else "it said nothing"


def validation_losses(folder: StrPath, subset: str) -> Iterator[tuple[int, float]]:
    """What a training has logged so far with ``--log-format json``: (updates, loss) of each validation."""
    path = os.path.join(folder, LOG)
    if not os.path.exists(path):
        return
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            _, found, text = line.partition(f" | INFO | {subset} | ")
            values = _values(text) if found and line.endswith("\n") else {}
            if f"{subset}_loss" in values and f"{subset}_num_updates" in values:
                yield int(values[f"{subset}_num_updates"]), float(values[f"{subset}_loss"])


def _values(text) -> dict[str, Any]:
    try:
        values = json.loads(text)
    except ValueError:
        return {}
    return values if isinstance(values, dict) else {}
