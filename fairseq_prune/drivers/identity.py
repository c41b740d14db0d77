"""What the results in a folder come from: a run continues only with the same options and inputs."""

import zlib
from typing import Any

from ..files.json_file import read_sealed, write_sealed


def stay_the_same(path: str, content: dict[str, Any]) -> None:
    """Write down what a folder's results come from, or compare with what stands there.

    Args:
        path: of the JSON file.
        content: dict of plain values.

    Raises:
        ValueError: the folder holds results of something else.
    """
    before = read_sealed(path)
    if before is None:
        write_sealed(path, content)
        return
    changed = [name for name in content if before.get(name) != content[name]]
    if changed:
        name = changed[0]
        old, new = (str(value)[:80] for value in (before.get(name), content[name]))
        raise ValueError(
            f"--save-dir: {path} is of a run with another {name} ({old}, now {new}); go on with the same options and "
            "files, or give a new folder, e.g. --save-dir checkpoints/another"
        )


def file_checksum(path: str, piece: int = 1 << 24) -> int:
    """CRC-32 of a file's bytes, read ``piece`` bytes at a time."""
    crc = 0
    with open(path, "rb") as file:
        while block := file.read(piece):
            crc = zlib.crc32(block, crc)
    return crc
