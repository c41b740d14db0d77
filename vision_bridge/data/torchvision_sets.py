"""Data sets in torchvision's files."""

from pathlib import Path

import numpy as np
import torch

from fairseq_prune.files.locks import StrPath

from .images import Images

MARKS = {  # the file or folder by which each data set is recognised
    "cifar10": "cifar-10-batches-py",
    "cifar100": "cifar-100-python",
    "mnist": "MNIST/raw",
    "svhn": "train_32x32.mat",
}
_CLASSES = {"cifar10": "CIFAR10", "cifar100": "CIFAR100", "mnist": "MNIST", "svhn": "SVHN"}


def recognise(folder: StrPath) -> str | None:
    """The name of the data set in a folder, or None."""
    return next((name for name, mark in MARKS.items() if (Path(folder) / mark).exists()), None)


def read_torchvision(name: str, folder: StrPath, download: bool = False) -> dict[str, Images]:
    """Read a data set into memory.

    Args:
        name: one of :data:`MARKS`.
        folder: folder that has torchvision's files, or will have them after ``download``.
        download: fetch what is missing.

    Returns:
        dict of split -> :class:`~.images.Images`.

    Raises:
        ValueError: files are incomplete or damaged, or the download failed.
    """
    from torchvision import datasets

    read = getattr(datasets, _CLASSES[name])
    parts = {}
    for split in ("train", "test"):
        which = {"split": split} if name == "svhn" else {"train": split == "train"}
        try:
            data = read(str(folder), download=download, **which)
        except (RuntimeError, OSError) as error:
            reason = str(error).splitlines()[0]
            raise ValueError(f"DATA {name}: not read from {folder} ({reason}); give --download to fetch it") from None
        parts[split] = _as_images(data)
    return parts


def _as_images(data):
    pixels = np.asarray(data.data)
    if pixels.ndim == 3:
        pixels = pixels[:, None]
    elif pixels.shape[-1] == 3:
        pixels = pixels.transpose(0, 3, 1, 2)
    targets = data.labels if hasattr(data, "labels") else data.targets
    return Images(torch.from_numpy(np.ascontiguousarray(pixels)), torch.as_tensor(np.asarray(targets)).long())
