"""Image files: reading one, and checking those of a data set before a run depends on them."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from fairseq_prune.files.locks import StrPath

if TYPE_CHECKING:
    from PIL.Image import Image


logger = logging.getLogger(__name__)

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".ppm", ".pgm", ".tif", ".tiff", ".webp"}  # torchvision's
FORMATS = ("JPEG", "PNG", "BMP", "PPM", "TIFF", "WEBP")  # read whatever a file is called; never PostScript


def read_image(path: StrPath) -> Image:
    """Read an image file.

    Args:
        path: path of an image in one of :data:`FORMATS`.

    Returns:
        PIL image, RGB.

    Raises:
        ValueError: it is not an image, is damaged, or has more than twice ``PIL.Image.MAX_IMAGE_PIXELS``.
    """
    return _opened(path, lambda file: file.convert("RGB"))


def check_images(paths: Sequence[str]) -> None:
    """Decode all images of a data set once, in threads; an unchanged set is not checked again.

    Sets that were checked are remembered in ``~/.cache/fairseq_prune``, by the names, sizes and times of their files.

    Args:
        paths: list of paths.

    Raises:
        ValueError: a file is missing, or as :func:`read_image`; only the first such file is reported.
    """
    mark = _mark(paths)
    if mark.exists():
        return
    if len(paths) > 10_000:
        logger.info(f"checking {len(paths):,} images, once")
    with ThreadPoolExecutor(min(32, os.cpu_count() or 1)) as threads:
        for start in range(0, len(paths), 1000):  # so that an error is reported early
            list(threads.map(_check, paths[start : start + 1000]))
    try:
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
    except OSError as error:
        logger.warning(f"{mark}: not written ({error.strerror}), so the images will be checked again next time")


def _mark(paths):
    """The file whose existence says that these images were checked."""
    digest = hashlib.sha256()
    for path in paths:
        try:
            found = os.stat(path)
        except OSError as error:
            raise ValueError(f"{path}: not a readable image ({error.strerror}); remove or replace it") from None
        digest.update(
            f"{os.path.abspath(path)}\0{found.st_size}\0{found.st_mtime_ns}\n".encode(errors="surrogateescape")
        )
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return caches / "fairseq_prune" / f"images-{digest.hexdigest()[:32]}"


def _check(path):
    def decode(file):
        file.draft("RGB", (1, 1))  # JPEG: decode at an eighth of the size, which still reads the whole file
        file.load()

    _opened(path, decode)


def _opened(path, use):
    from PIL import Image

    try:
        with Image.open(path, formats=FORMATS) as file:
            return use(file)
    except Exception as error:  # foreign data may raise anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{path}: not a readable image ({reason}); remove or replace it") from None
