"""Reading checkpoints without running code in them, with a one-line message if one is damaged."""

import contextlib
import zipfile
from typing import Any

import torch

from ..files.locks import StrPath
from ..files.messages import one_line
from ..pruning.packed_state import unpack_checkpoint
from . import safe_globals
from .contents import check_contents
from .patching import patch_once
from .unreadable import GIVE, check_file, why_unreadable


def install() -> None:
    """Let torch read fairseq's own files; make fairseq report all others in one line."""
    from fairseq import checkpoint_utils

    safe_globals.install()
    patch_once(checkpoint_utils, "load_checkpoint_to_cpu", _with_readable_errors)
    patch_once(checkpoint_utils, "load_model_ensemble_and_task", _with_missing_files_named)


def load_checkpoint(path: StrPath, unpack: bool = True, mapped: bool = False) -> dict[str, Any]:
    """Read a checkpoint without running any code it may hold.

    Args:
        path: a fairseq checkpoint, packed or not.
        unpack: False leaves a packed checkpoint as it is stored.
        mapped: read tensors only when they are accessed, if the file's format allows it; the file must not change.

    Returns:
        Its dict, tensors on the CPU.

    Raises:
        ValueError: the file is missing, truncated, holds code, or is not a fairseq checkpoint.
    """
    safe_globals.install()
    with _explained(path):
        state = _read(path, mapped and zipfile.is_zipfile(path))
        return unpack_checkpoint(state) if unpack else state


def _read(path, mapped=False):
    state = torch.load(str(path), map_location="cpu", weights_only=True, mmap=mapped)
    check_contents(state)
    return state


@contextlib.contextmanager
def _explained(path):
    check_file(path)
    try:
        yield
    except FileNotFoundError:
        raise ValueError(f"checkpoint {path}: no such file; give e.g. checkpoints/checkpoint_best.pt") from None
    except Exception as error:  # the file may hold anything
        reason = why_unreadable(path, error)
        raise ValueError(f"checkpoint {path}: not a readable fairseq checkpoint ({reason}); {GIVE}") from None


def _with_readable_errors(load_checkpoint_to_cpu):
    """fairseq reports an unreadable checkpoint by a traceback; here it is one line. fairseq cannot unpack, either."""

    def load(path, *args, **kwargs):
        try:
            with _explained(path):
                try:
                    state = load_checkpoint_to_cpu(path, *args, **kwargs)
                except (LookupError, TypeError, RuntimeError):  # it looks for what other programs' files lack
                    if "optimizer_history" not in _read(path):
                        raise ValueError("it holds a model, but no optimizer_history as fairseq writes it") from None
                    raise
                check_contents(state)
                return unpack_checkpoint(state)
        except ValueError as error:
            raise SystemExit(one_line(error)) from None

    return load


def _with_missing_files_named(load_model_ensemble_and_task):
    """A missing file in ``--path`` is reported in one line, too."""

    def load(*args, **kwargs):
        try:
            return load_model_ensemble_and_task(*args, **kwargs)
        except OSError as error:
            if "Model file not found" not in str(error):
                raise
            raise SystemExit(f"--path: {error}; give e.g. checkpoints/checkpoint_best.pt") from None

    return load
