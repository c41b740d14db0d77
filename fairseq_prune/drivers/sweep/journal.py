"""Optuna's journal in a folder that several processes and machines share."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, cast

from ...files.locks import wait_locked

if TYPE_CHECKING:
    from io import BufferedRandom

    from optuna.storages import JournalStorage


def require_optuna() -> None:
    """Refuse where Optuna is missing.

    Raises:
        ValueError: how to install it.
    """
    try:
        import optuna
    except ImportError as error:
        raise ValueError(f"sweep needs Optuna ({error}): pip install 'fairseq-prune[sweep]'") from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)


class KernelLock:
    """The lock of a journal, as Optuna asks for it: held until it is released, or its process ends.

    Optuna's own is a file that a killed process leaves for half a minute, and half a line of it would stay in the
    journal: who has this one cuts such a line off.

    Args:
        path: of the journal.
    """

    def __init__(self, path: str):
        self._path = path
        self._file: BufferedRandom | None = None

    def acquire(self) -> bool:
        """Wait for it."""
        self._file = wait_locked(f"{self._path}.lock")
        _cut_half_a_line(self._path)
        return True

    def release(self) -> None:
        """Let it go."""
        if self._file:
            self._file.close()
            self._file = None


def open_journal(path: str) -> JournalStorage:
    """The storage in a file, which is made if missing."""
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    lock = KernelLock(path)
    backend = JournalFileBackend(path, lock_obj=cast(Any, lock))
    lock.acquire()  # a reader stumbles over half a line, too
    lock.release()
    return JournalStorage(backend)


def _cut_half_a_line(path):
    with open(path, "rb+") as file:
        size = file.seek(0, os.SEEK_END)
        if not size:
            return
        file.seek(size - 1)
        if file.read(1) == b"\n":
            return
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)
