"""Reporting users' mistakes in one line instead of a traceback."""

import contextlib
from collections.abc import Iterator

from .files.locks import StrPath
from .files.messages import in_short, one_line


class DamagedData(ValueError):
    """A file of the data is not what it should be; the message begins with its path."""


@contextlib.contextmanager
def one_line_errors() -> Iterator[None]:
    """Turn the core's ValueErrors into an exit with a message and a status that is not 0."""
    try:
        yield
    except ValueError as error:
        raise SystemExit(one_line(error)) from None


@contextlib.contextmanager
def errors_named(asked: str) -> Iterator[None]:
    """Put what the user asked for before a ValueError's message, e.g. ``--prune-teacher a.pt``."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{asked}: {error}") from None


@contextlib.contextmanager
def one_line_data_errors(path: str | None) -> Iterator[None]:
    """Turn fairseq's errors about data that are not there, or damaged, into an exit with one line.

    Args:
        path: the DATA argument; None: the task has none.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise SystemExit(f"DATA {path}: {error}; make it with fairseq-preprocess, e.g. data-bin/demo") from None
    except DamagedData as error:
        raise SystemExit(one_line(f"DATA {path}: {error}; make it again with fairseq-preprocess")) from None
    except Exception as error:  # fairseq raises nothing more specific
        if "infer language pair" not in str(error):
            raise
        raise SystemExit(f"DATA {path}: no train.SRC-TGT files in it; make it with fairseq-preprocess") from None


@contextlib.contextmanager
def errors_of_a_file(path: StrPath, meaning: str) -> Iterator[None]:
    """Turn any error that reading an untrusted file causes into a ValueError that names the file.

    Args:
        path: of the file.
        meaning: what could not be done with it.

    Raises:
        ValueError: with the error and its place in short; the error itself is its cause.
    """
    try:
        yield
    except ValueError as error:
        named = str(error).startswith("--") or str(path) in str(error)
        raise ValueError(str(error) if named else f"{path}: {error}") from error
    except Exception as error:
        raise ValueError(f"{path}: {meaning} ({in_short(error)})") from error
