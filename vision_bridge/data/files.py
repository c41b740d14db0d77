"""Image files: reading one, and checking those of a set before a run depends on them."""

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
FORMATS = ("JPEG", "PNG", "BMP", "PPM", "TIFF", "WEBP")  # what is read, whatever a file is called: never PostScript


def read_image(path: StrPath) -> Image:
    """Read a file.

    Args:
        path: of an image of :data:`FORMATS`.

    Returns:
        PIL image, RGB.

    Raises:
        ValueError: it is none, is damaged, or has more than twice ``PIL.Image.MAX_IMAGE_PIXELS``.
    """
    return _opened(path, lambda file: file.convert("RGB"))


def check_images(paths: Sequence[str]) -> None:
    """Decode all images of a set once, in threads; a set whose files stay as they are is not checked again.

    What was checked is known by the names, sizes and times of its files, in ``~/.cache/fairseq_prune``.

    Args:
        paths: of the files, list.

    Raises:
        ValueError: as :func:`read_image`, for the first of them; or one is missing.
    """
    mark = _mark(paths)
    if mark.exists():
        return
    if len(paths) > 10_000:
        logger.info(f"checking {len(paths):,} images, once")
    with ThreadPoolExecutor(min(32, os.cpu_count() or 1)) as threads:
        for start in range(0, len(paths), 1000):  # so that an error does not wait for all
            list(threads.map(_check, paths[start : start + 1000]))
    try:
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
    except OSError as error:
        logger.warning(f"{mark}: not written ({error.strerror}), so the images will be checked again next time")


def _mark(paths):
    """The file that says that they were checked."""
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
        file.draft("RGB", (1, 1))  # of JPEG an eighth of the size, from all of the file
        file.load()

    _opened(path, decode)


def _opened(path, use):
    from PIL import Image

    try:
        with Image.open(path, formats=FORMATS) as file:
            return use(file)
    except Exception as error:  # of many kinds: foreign data
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{path}: not a readable image ({reason}); remove or replace it") from None
