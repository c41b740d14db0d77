"""Figures as PNG files."""

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
    words = "" if option.isupper() else f"{option} "
    example = f"give e.g. {words}{option.strip('-').lower()}.png"
    if Path(path).suffix != ".png":
        raise ValueError(f"{option} {path}: a PNG is written; {example}")
    if not Path(path).parent.is_dir():
        raise ValueError(f"{option} {path}: no such folder; {example}")
    if Path(path).is_dir():
        raise ValueError(f"{option} {path}: is a folder; {example}")
    if not os.access(Path(path).parent, os.W_OK | os.X_OK):
        raise ValueError(f"{option} {path}: its folder cannot be written; {example}")
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ValueError(f"{option} needs Matplotlib ({error}): pip install 'fairseq-prune[plots]'") from None


def save_png(figure: Figure, path: StrPath) -> None:
    """Write a Matplotlib figure."""
    with whole_file(path) as file:
        figure.savefig(file, dpi=120, format="png")
