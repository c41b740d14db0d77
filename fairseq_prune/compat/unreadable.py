"""Explaining why a file is not a readable checkpoint."""

import os
import pickle
import zipfile
from collections.abc import Mapping

from ..files.locks import StrPath
from ..files.messages import in_short

GIVE = "give a file that fairseq-train saved, e.g. checkpoints/checkpoint_best.pt"
_ZIP, _PICKLE = b"PK\x03\x04", b"\x80"  # how files of torch.save begin: today, and before torch 1.6


def check_file(path: StrPath) -> None:
    """Refuse a path that exists and is not an ordinary file; reading a pipe would wait forever.

    Raises:
        ValueError: the path is a folder, a pipe or the like.
    """
    if os.path.isdir(path):
        raise ValueError(f"checkpoint {path}: is a folder; give a file in it, e.g. {path}/checkpoint_best.pt")
    if os.path.exists(path) and not os.path.isfile(path):
        raise ValueError(f"checkpoint {path}: is not an ordinary file; {GIVE}")


def why_unreadable(path: StrPath, error: Exception) -> str:
    """Why a file is not a readable checkpoint.

    Args:
        path: the file.
        error: what reading it raised.
    """
    if type(error) is ValueError:  # one of ours, which already gives the reason
        return str(error)
    start, size = _start_of(path)
    if not size:
        return "it is empty" if size == 0 else in_short(error)
    if start == _ZIP and not zipfile.is_zipfile(path):
        return "it is cut short; copy it again, or take the one before"
    if start != _ZIP and not start.startswith(_PICKLE):
        return "it is not of torch.save, but text or of another program"
    if isinstance(error, pickle.UnpicklingError):
        return "it holds code or foreign classes, which are never loaded, or is damaged"
    return in_short(error)


def why_no_model(state: object) -> str:
    """What a file holds instead of a checkpoint with a model."""
    if not isinstance(state, Mapping):
        return f"it holds {type(state).__name__}, and no model"
    names = [str(name) for name in state]
    shown = ", ".join(names[:3]) + (" …" if len(names) > 3 else "")
    return f"it holds no model, but {shown[:100] or 'nothing'}"


def _start_of(path):
    """The first four bytes of a file and its size in bytes; the size is None if the file cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read(4), os.path.getsize(path)
    except OSError:
        return b"", None
