"""Figures as PNG files, and where a report is written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ..files.alone import StrPath
from ..files.whole import whole_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def check_png(option: str, path: StrPath) -> None:
    """Refuse a figure that could not be written.

    Args:
        option: that names it, e.g. ``"--plot"``.
        path: of the file.

    Raises:
        ValueError: no PNG, a folder, none to write in, or Matplotlib is missing.
    """
    check_written(option, path, ".png")
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ValueError(f"{option} needs Matplotlib ({error}): pip install 'fairseq-prune[plots]'") from None


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


def save_png(figure: Figure, path: StrPath) -> None:
    """Write a Matplotlib figure."""
    with whole_file(path) as file:
        figure.savefig(file, dpi=120, format="png")
