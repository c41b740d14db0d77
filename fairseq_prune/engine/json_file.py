"""Plain values in files of JSON that are never seen half-written."""

import json
import os


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
