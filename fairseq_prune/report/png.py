"""Figures as PNG files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..files.atomic import atomic_file, check_written
from ..files.locks import StrPath

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def check_png(option: str, path: StrPath) -> None:
    """Check that a figure can be written.

    Args:
        option: the option that names the file, e.g. ``"--plot"``.
        path: file to write.

    Raises:
        ValueError: the path is not that of a PNG, is a folder, is in no writable folder, or Matplotlib is missing.
    """
    check_written(option, path, ".png")
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ValueError(f"{option} needs Matplotlib ({error}): pip install 'fairseq-prune[plots]'") from None


def save_png(figure: Figure, path: StrPath) -> None:
    """Write a Matplotlib figure."""
    with atomic_file(path) as file:
        figure.savefig(file, dpi=120, format="png")
