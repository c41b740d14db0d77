"""From the DATA argument to training, validation and test sets of images."""

from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Callable

import torch
from fairseq import utils

from .builtin import make_synthetic, read_digits
from .files import check_images
from .folder_dataset import FolderDataset
from .folders import is_tiny_imagenet, list_folder
from .image_dataset import ImageDataset
from .images import Images, check_labels, check_shape, resize
from .npz import read_npz
from .options import ImageOptions, check_options
from .splits import split
from .table import AUGMENTATIONS, DATASETS, OTHER, Augmentation, ImageSet, look_up
from .torchvision_sets import MARKS, read_torchvision, recognise

BUILT_IN = {"digits": read_digits, "synthetic": make_synthetic}
_FOLDER_SIZE = 224  # pixels, for folders without a row in the table


@dataclass
class Source:
    """A data set of images.

    Attributes:
        row: its row in the table.
        classes: count.
        shape: (channels, height, width) of an image as the model gets it.
        mean, std: of pixels in [0, 1], tuples with one value per channel or one for all.
        augmentation: :class:`~.table.Augmentation` of training images.
        options: :class:`~.options.ImageOptions`.
        read: function without arguments that returns a dict of "train" and "test" -> :class:`~.images.Images`.
    """

    row: ImageSet
    classes: int
    shape: tuple[int, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    augmentation: Augmentation
    options: ImageOptions
    read: Callable[[], dict[str, Images]]

    @cached_property
    def parts(self) -> dict[str, Images]:
        """The result of ``read``, which is called only once.

        Raises:
            ValueError: the data are missing, damaged, or of other shapes or classes.
        """
        return self.read()

    def images(self, name: str) -> Images:
        """The :class:`~.images.Images` of the split train, valid or test; see :func:`~.splits.split`."""
        return split(self.parts, name, self.options.holdout, self.options.max_train_images)

    def dataset(self, name: str, trains: bool) -> ImageDataset:
        """The fairseq dataset of a split.

        Args:
            name: train, valid or test.
            trains: whether to shuffle and augment it.

        Raises:
            ValueError: as for ``parts`` and :func:`~.splits.split`.
        """
        images = self.images(name)
        common: dict[str, Any] = {
            "mean": self.mean,
            "std": self.std,
            "augmentation": self.augmentation if trains else None,
            "seed": self.options.seed,
        }
        if torch.is_tensor(images.images):
            return ImageDataset(images, **common)
        return FolderDataset(images, self.shape[1], self.row.border, **common)


def open_source(data: str, options: ImageOptions) -> Source:
    """Find the data set that the options name.

    Args:
        data: the DATA argument.
        options: :class:`~.options.ImageOptions`.

    Returns:
        A :class:`Source`. Sets in the table are read only when they are needed.

    Raises:
        ValueError: data do not exist, are unreadable or contradict the options; the message names the option, the
            value and a valid example.
    """
    check_options(options)
    name, read = _locate(data, options)
    row = look_up("--image-set", DATASETS, options.image_set) if options.image_set else DATASETS.get(name)
    parts = None
    if row is None:
        parts = read()
        row = _guess(data, parts)
        parts = _checked(data, parts, row, options.image_size)
        classes, shape = _count(parts), _shape(parts, options.image_size or row.size or _FOLDER_SIZE)
    else:
        size = options.image_size or row.size
        classes, shape = row.classes, (row.channels, size, size)
    mean, std = _normalisation(row, shape[0], options.normalisation)
    return Source(
        row,
        classes,
        shape,
        mean,
        std,
        augmentation=_augmentation(row, shape[1], options.augmentation),
        options=options,
        read=lambda: parts or _checked(data, read(), row, options.image_size),
    )


def _locate(data, options):
    """Find out what DATA means.

    Returns:
        ``(name, read)``: the name in the table, None if DATA does not show it; and the function that reads it.
    """
    paths = utils.split_paths(data)
    if data in BUILT_IN:
        size = options.image_size or DATASETS[data].size
        assert size is not None, data  # it is in the table
        return data, partial(BUILT_IN[data], size)
    if data in MARKS:
        return data, partial(_read_named, data, options)
    if len(paths) > 1 or data.endswith(".npz"):
        return None, partial(read_npz, paths)
    if not Path(data).is_dir():
        known = ", ".join([*BUILT_IN, *MARKS])
        raise ValueError(f"DATA {data}: no such folder, and not one of {known}; give e.g. digits")
    if files := _npz_files(data):
        return None, partial(read_npz, files)
    if name := recognise(data):
        return name, partial(read_torchvision, name, data)
    return None, partial(list_folder, data)


def _npz_files(folder):
    return sorted(Path(folder).glob("*.npz"))


def _read_named(name, options):
    root = Path(options.data_root)
    if files := _npz_files(root / name):
        return read_npz(files)
    for folder in (root / name, root):
        if (folder / MARKS[name]).exists():
            return read_torchvision(name, folder, options.download)
    if not options.download:
        raise ValueError(f"DATA {name}: not in --data-root {root}; give --download to fetch it into {root / name}")
    return read_torchvision(name, root / name, download=True)


def _guess(data, parts):
    """Guess the table's row for a data set that was not named."""
    classes = _count(parts)
    if torch.is_tensor(parts["train"].images):
        thumbnails = parts["train"].images.shape[1:] == (3, 32, 32)
        return DATASETS.get(f"cifar{classes}", OTHER) if thumbnails else OTHER
    if is_tiny_imagenet(data):
        return DATASETS["tinyimagenet"]
    return DATASETS["imagenet"] if classes == DATASETS["imagenet"].classes else OTHER


def _count(parts):
    targets = parts["train"].targets
    return int(targets.max()) + 1 if len(targets) else 0


def _shape(parts, size):
    images = parts["train"].images
    return tuple(images.shape[1:]) if torch.is_tensor(images) else (3, size, size)


def _checked(data, parts, row, size):
    """The parts, resized if requested, after checking that classes and shapes are those of the row."""
    check_labels(data, parts, row.classes or _count(parts))
    if torch.is_tensor(parts["train"].images):
        if size:
            parts = {name: Images(resize(part.images, size), part.targets) for name, part in parts.items()}
        check_shape(data, parts, replace(row, size=size or row.size))
    elif row.classes not in (None, _count(parts)):
        raise ValueError(
            f"DATA {data}: {_count(parts)} class folders, the --image-set has {row.classes} classes; "
            "give the one that the data are of, e.g. --image-set imagenette"
        )
    else:
        check_images([path for part in parts.values() for path in part.images])
    return parts


def _normalisation(row, channels, name):
    chosen = look_up("--normalisation", DATASETS, name) if name else row
    if len(chosen.mean) not in (1, channels):
        raise ValueError(
            f"--normalisation {name}: of {len(chosen.mean)} channels, the images have {channels}; "
            "give e.g. --normalisation mnist"
        )
    return chosen.mean, chosen.std


def _augmentation(row, size, name):
    if name == "default":
        return row.augmentation
    chosen = look_up("--augmentation", AUGMENTATIONS, name)
    return replace(chosen, padding=max(1, size // 8)) if chosen.padding else chosen
