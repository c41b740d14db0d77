"""Records as JSON lines: one a candidate, written as soon as it is evaluated."""

import json
import os
import threading


class Records:
    """The candidates of one search, on disk.

    A search that is killed replays its records and goes on where they end.

    Args:
        path: of the file; its folder is made.
        header: dict of plain values that decide what the candidates are.

    Raises:
        ValueError: the file holds another search.
    """

    def __init__(self, path, header):
        self._path, self._lock, self._known = path, threading.Lock(), {}
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
        lines = _whole_lines(path)
        if not lines:
            self._append(header)
        elif lines[0] != json.loads(json.dumps(header)):
            changed = sorted(k for k in header if lines[0].get(k) != json.loads(json.dumps(header[k])))
            raise ValueError(
                f"--save-dir: {path} is a search with another {', '.join(changed) or 'header'}; resume with the same "
                "options and checkpoint, or give a new folder"
            )
        for record in lines[1:]:
            self._known[record["generation"], record["individual"]] = record

    def get(self, generation, individual):
        """The record of a candidate, or None."""
        return self._known.get((generation, individual))

    def add(self, record):
        """Write a candidate's record (dict of plain values with ``generation`` and ``individual``)."""
        self._known[record["generation"], record["individual"]] = record
        self._append(record)

    def _append(self, record):
        with self._lock, open(self._path, "a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
            file.flush()
            os.fsync(file.fileno())


def _whole_lines(path):
    """The objects in a file of JSON lines; a last line that a kill cut short is cut off."""
    if not os.path.exists(path):
        return []
    with open(path, "rb+") as file:
        content = file.read()
        whole = content.rfind(b"\n") + 1
        file.truncate(whole)
    return [json.loads(line) for line in content[:whole].splitlines()]


def write_json(path, content):
    """Write plain values under a temporary name, then rename."""
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    with open(f"{path}.tmp", "w", encoding="utf-8") as file:
        json.dump(content, file, indent=1)
        file.write("\n")
    os.replace(f"{path}.tmp", path)


def read_json(path):
    """The content of a file, or None if it is not there."""
    if not os.path.exists(path):
        return None
    with open(path, encoding="utf-8") as file:
        return json.load(file)
