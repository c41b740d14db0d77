"""One writer at a time, for a file or a folder of results."""

import contextlib
import errno
import fcntl
import os
import socket
import time
from collections.abc import Iterator
from io import BufferedRandom

LOCK = ".writer"  # in a folder of results, while a process writes there
_TAKEN = (errno.EAGAIN, errno.EACCES)


StrPath = str | os.PathLike[str]


class Taken(OSError):
    """Another process writes it."""


def open_locked(path: StrPath) -> BufferedRandom:
    """Open a file for writing that no other process has opened so; what it holds stays.

    The lock is one of the kernel's on the process (POSIX): it ends with it however that ends, and children, as
    those of a data loader, do not inherit it. A file system without locks gives none, and no error.

    Args:
        path: of the file; made if missing.

    Returns:
        Binary file object.

    Raises:
        Taken: another process has it.
    """
    while True:
        file = open(path, "r+b", opener=_making)
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _TAKEN:
                writer = file.read(200).decode(errors="replace")
                file.close()
                who = writer if writer.startswith("process ") else "another process"
                raise Taken(errno.EBUSY, f"{who} writes there", path) from None
        if _still_named(file, path):
            return file
        file.close()  # another process has renamed or removed it since it was opened


def wait_locked(path: StrPath, every: float = 0.05) -> BufferedRandom:
    """As :func:`open_locked`, but wait until no other process has it.

    Args:
        path: of the file.
        every: seconds between two tries.
    """
    while True:
        try:
            return open_locked(path)
        except Taken:
            time.sleep(every)


def _making(path, flags):
    return os.open(path, flags | os.O_CREAT, 0o666)


def _still_named(file, path):
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def one_writer(folder: StrPath) -> Iterator[None]:
    """Have a folder of results for oneself; it is made if missing.

    Args:
        folder: of results.

    Raises:
        Taken: another process writes there.
        OSError: nothing can be written there.
    """
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, LOCK)
    try:
        file = open_locked(path)
    except Taken as error:
        raise Taken(error.errno, error.strerror, folder) from None
    with file:
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}".encode())
        file.flush()
        try:
            yield
        finally:
            with contextlib.suppress(FileNotFoundError):  # the folder may be gone
                os.remove(path)
