"""Folders that appear only once they are complete."""

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator

from .atomic import sync_folder
from .locks import StrPath


def is_in(folder: StrPath, path: StrPath) -> bool:
    """True if a file is one of a folder's own, by whatever name the folder goes."""
    return os.path.realpath(os.path.dirname(path) or os.curdir) == os.path.realpath(folder)


def require_writable(folder: StrPath) -> None:
    """Find out, before there is anything to write, that a folder can be made and written in; nothing of it stays.

    Args:
        folder: that need not be there.

    Raises:
        OSError: it cannot; with the folder as ``filename``.
    """
    there = os.path.abspath(folder)
    while not os.path.lexists(there):
        there = os.path.dirname(there)
    try:
        tempfile.TemporaryFile(dir=there).close()
    except OSError as error:
        raise type(error)(error.errno, error.strerror, os.fspath(folder)) from None


def require_elsewhere(folder: StrPath, option: str, path: StrPath, names: str = ".*") -> None:
    """Refuse a file to begin with that is in the folder of results, which may get another of its name.

    Args:
        folder: ``--save-dir``.
        option: that names the file.
        path: of the file.
        names: regular expression of those that results get.

    Raises:
        ValueError: naming both options.
    """
    if is_in(folder, path) and re.fullmatch(names, os.path.basename(path)):
        raise ValueError(
            f"--save-dir {folder}: {option} {path} is in it, and would be written over; give another folder, "
            "e.g. --save-dir checkpoints/pruned"
        )


def require_replaceable(path: StrPath, sign: str) -> None:
    """Refuse to put a folder where something else is.

    Args:
        path: of the folder to write.
        sign: name of a file that every such folder has.

    Raises:
        ValueError: there is something without this file.
    """
    if not os.fspath(path) or os.path.lexists(path) and not os.path.isfile(os.path.join(path, sign)):
        raise ValueError(f"OUT {path}: not a folder with {sign}, so it is not replaced; give another name")


@contextlib.contextmanager
def whole_folder(path: StrPath) -> Iterator[str]:
    """Fill a folder under a temporary name; it gets its name when the block ends without an error.

    Args:
        path: of the folder. One that is there is replaced, which :func:`require_replaceable` has to allow; a kill
            between two renames leaves it as ``.NAME.old``. Names that begin with a dot are no user's.

    Yields:
        The temporary path, in the same folder.
    """
    path = os.path.abspath(path)
    folder, name = os.path.split(path)
    temporary, old = (os.path.join(folder, f".{name}.{kind}") for kind in ("tmp", "old"))
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        os.makedirs(temporary)
    except OSError as error:
        raise type(error)(error.errno, error.strerror, path) from None
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
    sync_folder(folder)
    shutil.rmtree(old, ignore_errors=True)
