"""The effect of a growing penalty on units, as JSON lines next to the checkpoints."""

import json
import os
from typing import Any

from ..files.atomic import write_text
from ..pruning.growing import FILE
from . import ranks
from .harmless import harmless


def add_record(folder: str, record: dict[str, Any] | None) -> None:
    """Add a line; the first of a growth begins the file anew. Updates that a resumed run repeats stand there once.

    Args:
        folder: where checkpoints are saved.
        record: of :class:`~fairseq_prune.methods.growing.GrowingPenalty`; None: nothing to add. Only rank 0 writes.
    """
    if record is None or ranks.rank():
        return
    path = os.path.join(folder, FILE)
    with harmless(path):
        os.makedirs(folder, exist_ok=True)
        lines = _lines(path)
        before = [line for line in lines if record["began"] <= _updates(line) < record["updates"]]
        added = json.dumps(record) + "\n"
        if before != lines or record["updates"] == record["began"]:
            write_text(path, "".join([*before, added]))
            return
        with open(path, "a", encoding="utf-8") as file:
            file.write(added)


def _lines(path):
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.readlines()


def _updates(line):
    """The update that a line is of; -1 of what a kill or a full disk left half-written."""
    try:
        return int(json.loads(line)["updates"]) if line.endswith("\n") else -1
    except (ValueError, TypeError, KeyError, RecursionError):
        return -1
