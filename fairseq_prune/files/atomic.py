"""Atomic writing: to a temporary name, flushed to the disk, then renamed."""

import contextlib
import errno
import glob
import os
import shutil
from collections.abc import Iterator
from io import BufferedRandom
from pathlib import Path

from .locks import StrPath, open_locked

_NO_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES)  # of a folder, on some file systems


@contextlib.contextmanager
def atomic_file(path: StrPath) -> Iterator[BufferedRandom]:
    """Write a file that is seen whole or not at all, also after a power cut; until then the one before stays.

    Args:
        path: of the file; its folder is made.

    Yields:
        Binary file object; its ``name`` is a temporary one in the same folder.

    Raises:
        OSError: with the path as ``filename``. Then, as after any error in the block, nothing temporary is left.
    """
    path = os.fspath(path)
    folder = os.path.dirname(os.path.abspath(path))
    if os.path.lexists(path) and not os.path.isfile(path):
        raise FileExistsError(errno.EEXIST, "exists and is not a file", path)
    os.makedirs(folder, exist_ok=True)
    with naming(path):
        file = open_locked(f"{path}.tmp")
        try:
            with file:
                file.truncate(0)
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(file.name, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.remove(file.name)
            raise
    sync_folder(folder)


def write_text(path: StrPath, text: str) -> None:
    """Write a text (str) in UTF-8 by :func:`atomic_file`."""
    with atomic_file(path) as file:
        file.write(text.encode())


def copy_atomically(source: StrPath, path: StrPath) -> None:
    """Copy a file by :func:`atomic_file`."""
    with open(source, "rb") as original, atomic_file(path) as file:
        shutil.copyfileobj(original, file, 1 << 24)


def remove_temporary(folder: str, pattern: str) -> None:
    """Remove what killed writers left; only for who has the folder for himself.

    Args:
        folder: of results.
        pattern: of the files' own names, e.g. ``"checkpoint*.pt"``.
    """
    for path in glob.glob(f"{glob.escape(folder)}/{pattern}.tmp"):
        os.remove(path)


@contextlib.contextmanager
def naming(path: StrPath) -> Iterator[None]:
    """Say which file could not be written: the system does not, and torch hides that it was the system at all."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        cause: BaseException | None = error
        while cause and not isinstance(cause, OSError):
            cause = cause.__context__
        if not isinstance(cause, OSError) or cause.filename not in (None, f"{path}.tmp"):
            raise
        raise type(cause)(cause.errno, cause.strerror, path) from None


def sync_folder(folder: StrPath) -> None:
    """Have the names in a folder on the disk, where the file system can say so."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise
    finally:
        os.close(handle)


def check_written(option: str, path: StrPath, *suffixes: str) -> None:
    """Refuse a file that could not be written; by its name it can be none of another kind, as a checkpoint.

    Args:
        option: that names it.
        path: of the file.
        suffixes: of its kind, e.g. ``".png"``.

    Raises:
        ValueError: of another kind, a folder, or none to write in.
    """
    words = "" if option.isupper() else f"{option} "
    example = f"give e.g. {words}{option.strip('-').lower()}{suffixes[0]}"
    if Path(path).suffix not in suffixes:
        raise ValueError(f"{option} {path}: a {suffixes[0][1:].upper()} is written; {example}")
    if not Path(path).parent.is_dir():
        raise ValueError(f"{option} {path}: no such folder; {example}")
    if Path(path).is_dir():
        raise ValueError(f"{option} {path}: is a folder; {example}")
    if not os.access(Path(path).parent, os.W_OK | os.X_OK):
        raise ValueError(f"{option} {path}: its folder cannot be written; {example}")
