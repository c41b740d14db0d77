"""Records as JSON lines, each written as soon as it is known."""

import json
import os
import threading
from collections.abc import Hashable, Sequence
from typing import Any

from .atomic import naming, write_text
from .json_file import AGAIN, parse, sealed, unsealed
from .locks import StrPath


class Records:
    """The records of one search, or of other work, on disk.

    What is killed replays its records and goes on where they end.

    Args:
        path: of the file; its folder is made.
        header: dict of plain values that decide what the records are.
        key: names of the values that tell records apart.

    Raises:
        ValueError: the file was written under another header, or is damaged.
    """

    def __init__(self, path: StrPath, header: dict[str, Any], key: Sequence[str] = ("generation", "individual")):
        self._path, self._key, self._lock = path, key, threading.Lock()
        self._known: dict[tuple, dict[str, Any]] = {}
        lines, header = _whole_lines(path), json.loads(json.dumps(header))
        if not lines:
            write_text(path, _line(header))
        elif lines[0] != header:
            changed = sorted(k for k in header if lines[0].get(k) != header[k])
            raise ValueError(
                f"--save-dir: {path} was begun with another {', '.join(changed) or 'header'}; resume with the same "
                "options and checkpoint, or give a new folder"
            )
        for record in lines[1:]:
            if any(name not in record for name in key):
                raise ValueError(f"{path}: damaged, a record has no {' or '.join(key)}; {AGAIN}")
            self._remember(record)

    def get(self, *key: Hashable) -> dict[str, Any] | None:
        """The record of that key, or None."""
        return self._known.get(key)

    def add(self, record: dict[str, Any]) -> None:
        """Write a record (dict of plain values, those of the key among them)."""
        self._remember(record)
        with self._lock, naming(self._path), open(self._path, "a", encoding="utf-8") as file:
            file.write(_line(record))
            file.flush()
            os.fsync(file.fileno())

    def _remember(self, record):
        self._known[tuple(record[name] for name in self._key)] = record


def _line(record):
    return json.dumps(sealed(record)) + "\n"


def _whole_lines(path):
    """The objects in a file of JSON lines; a last line that a kill or a full disk cut short is cut off."""
    if not os.path.exists(path):
        return []
    with open(path, "rb+") as file:
        content = file.read()
        whole = content.rfind(b"\n") + 1
        file.truncate(whole)
    return [unsealed(parse(line, path), path) for line in content[:whole].splitlines()]
