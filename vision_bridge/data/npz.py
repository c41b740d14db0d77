"""Data sets of images in npz files."""

import zipfile
from collections.abc import Sequence

import numpy as np
import torch

from fairseq_prune.files.locks import StrPath

from .images import Images

KEYS = {"train": ("x_train", "y_train"), "test": ("x_test", "y_test")}


def read_npz(paths: Sequence[StrPath]) -> dict[str, Images]:
    """Read images from npz files and concatenate them.

    Args:
        paths: paths of files with some of ``x_train, y_train, x_test, y_test``: uint8 images NHWC, NCHW or
            NHW with 1 or 3 channels, and integer classes [N] or [N, 1].

    Returns:
        dict of split -> :class:`~.images.Images`, in memory.

    Raises:
        ValueError: a file is unreadable, lacks a key, or has other arrays; the message names the file.
    """
    found = {split: [] for split in KEYS}
    for path in paths:
        arrays = _load(path)
        for split, keys in KEYS.items():
            there = [key for key in keys if key in arrays]
            if len(there) == 1:
                raise ValueError(f"DATA {path}: {there[0]} without {(set(keys) - set(there)).pop()}; it needs both")
            if there:
                found[split].append((_pixels(path, keys[0], arrays), _classes(path, *keys, arrays)))
    parts = {}
    for split, pieces in found.items():
        if not pieces:
            raise ValueError(f"DATA {':'.join(map(str, paths))}: no {' and '.join(KEYS[split])}; see README.md")
        pixels, targets = zip(*pieces, strict=True)
        if len({piece.shape[1:] for piece in pixels}) > 1:
            raise ValueError(f"DATA {':'.join(map(str, paths))}: its parts have {KEYS[split][0]} of different shapes")
        parts[split] = Images(torch.cat(pixels), torch.cat(targets))
    return parts


def _load(path):
    try:
        with np.load(path, allow_pickle=False) as file:
            return {key: file[key] for key in file.files}
    except FileNotFoundError:
        raise ValueError(f"DATA {path}: no such file; give e.g. data-bin/cifar10/part-1.npz") from None
    except (OSError, EOFError, ValueError, AttributeError, zipfile.BadZipFile) as error:
        raise ValueError(f"DATA {path}: not a readable npz file ({error})") from None


def _pixels(path, key, arrays):
    array = arrays[key]
    if array.dtype != np.uint8 or array.ndim not in (3, 4):
        raise ValueError(f"DATA {path}: {key} is {array.dtype} {list(array.shape)}; give uint8 [N, height, width, 3]")
    if array.ndim == 3:
        array = array[:, None]
    elif array.shape[3] in (1, 3):
        array = array.transpose(0, 3, 1, 2)
    elif array.shape[1] not in (1, 3):
        raise ValueError(f"DATA {path}: {key} {list(array.shape)} has no axis of 1 or 3 channels")
    return torch.from_numpy(np.ascontiguousarray(array))


def _classes(path, images, key, arrays):
    count, array = len(arrays[images]), arrays[key]
    if array.dtype.kind not in "iu" or array.shape not in ((count,), (count, 1)):
        raise ValueError(f"DATA {path}: {key} is {array.dtype} {list(array.shape)}; give integers [{count}]")
    return torch.from_numpy(array.reshape(-1).astype(np.int64))
