"""Folders that are seen whole or not at all."""

import contextlib
import os
import shutil
from collections.abc import Iterator

from .alone import StrPath
from .whole import sync_folder


def require_replaceable(path: StrPath, sign: str) -> None:
    """Refuse to put a folder where something else is.

    Args:
        path: of the folder to write.
        sign: name of a file that every such folder has.

    Raises:
        ValueError: there is something without this file.
    """
    if os.path.lexists(path) and not os.path.isfile(os.path.join(path, sign)):
        raise ValueError(f"OUT {path}: not a folder with {sign}, so it is not replaced; give another name")


@contextlib.contextmanager
def whole_folder(path: StrPath) -> Iterator[str]:
    """Fill a folder under a temporary name; it gets its name when the block ends without an error.

    Args:
        path: of the folder. A folder that is there is replaced; a kill between two renames leaves it as ``.old``.

    Yields:
        The temporary path, in the same folder.
    """
    path = os.path.abspath(path)
    temporary, old = f"{path}.tmp", f"{path}.old"
    shutil.rmtree(temporary, ignore_errors=True)
    os.makedirs(temporary)
    try:
        yield temporary
        for entry in os.scandir(temporary):
            with open(entry.path, "rb") as file:
                os.fsync(file.fileno())
        sync_folder(temporary)
        if os.path.lexists(path):
            shutil.rmtree(old, ignore_errors=True)  # of a process that was killed
            os.replace(path, old)
        os.replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    sync_folder(os.path.dirname(path))
    shutil.rmtree(old, ignore_errors=True)
