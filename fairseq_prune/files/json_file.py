"""JSON files of plain values, written atomically and checked when they are read."""

import json
import math
import os
import zlib
from typing import Any

from .atomic import write_text
from .locks import StrPath

SEAL = "crc32"  # of the other values, beside them


AGAIN = "remove it to have it made again, or give a new folder"


def write_json(path: StrPath, content: object) -> None:
    """Write plain values whole (:func:`~.atomic.atomic_file`); what is not finite becomes null."""
    write_text(path, json.dumps(finite(content), indent=1) + "\n")


def to_json(content: object) -> str:
    """Plain values as one line of JSON; what is not finite becomes null."""
    return json.dumps(finite(content))


def read_json(path: StrPath) -> Any:
    """The content of a file, or None if it is not there.

    Raises:
        ValueError: it is damaged.
    """
    if not os.path.exists(path):
        return None
    with open(path, "rb") as file:
        return parse(file.read(), path)


def write_sealed(path: StrPath, content: dict[str, Any]) -> None:
    """Write a dict of plain values whole, with a checksum: what is read again has to be what was written."""
    write_text(path, json.dumps(sealed(content), indent=1) + "\n")


def read_sealed(path: StrPath) -> dict[str, Any] | None:
    """The dict in a file of :func:`write_sealed`, or None if it is not there.

    Raises:
        ValueError: it is damaged.
    """
    content = read_json(path)
    return None if content is None else unsealed(content, path)


def sealed(content: dict[str, Any]) -> dict[str, Any]:
    """A dict with the checksum of its plain values."""
    content = json.loads(json.dumps(content))  # as it is read again: names are str
    return {**content, SEAL: _checksum(content)}


def unsealed(content: object, path: StrPath) -> dict[str, Any]:
    """A dict without its checksum, which has to be right; files of earlier versions have none.

    Raises:
        ValueError: it is no dict, or not what was written.
    """
    if not isinstance(content, dict):
        raise ValueError(f"{path}: damaged, holds {type(content).__name__} instead of named values; {AGAIN}")
    own = {name: value for name, value in content.items() if name != SEAL}
    if content.get(SEAL, _checksum(own)) != _checksum(own):
        raise ValueError(f"{path}: damaged, its values are not those that were written; {AGAIN}")
    return own


def parse(text: bytes, path: StrPath) -> Any:
    """The plain values that a text (bytes) of JSON holds.

    Args:
        text: UTF-8.
        path: it is of, for the message.

    Raises:
        ValueError: it is no JSON.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: damaged, no JSON ({str(error) or type(error).__name__}); {AGAIN}") from None


def finite(content: object) -> Any:
    """Plain values as JSON writes them: it has neither NaN nor infinity, which become None."""
    if isinstance(content, dict):
        return {name: finite(value) for name, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [finite(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def _checksum(content):
    return zlib.crc32(json.dumps(content, sort_keys=True).encode())
