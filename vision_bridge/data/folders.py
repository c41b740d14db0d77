"""Image files in one folder per class, below ``train/`` and ``val/``."""

from pathlib import Path

import torch

from fairseq_prune.files.locks import StrPath

from .files import SUFFIXES
from .images import Images

ANNOTATIONS = "val_annotations.txt"  # in Tiny-ImageNet: file, class and box of each image in val/images/


def list_folder(folder: StrPath) -> dict[str, Images]:
    """List the images of a folder; its validation images are our split "test".

    Args:
        folder: has ``train/CLASS/`` and ``val/CLASS/`` with images at any depth, or the layout of
            Tiny-ImageNet, whose ``val/`` has ``images/`` and ``val_annotations.txt``.

    Returns:
        dict of split -> :class:`~.images.Images` of paths; classes are numbered in the order of their names.

    Raises:
        ValueError: there are no class folders or no images, or a class does not occur in training.
    """
    folder = Path(folder)
    train = _class_folders(folder, "train")
    numbers = {name: number for number, name in enumerate(sorted(train))}
    if (folder / "val" / ANNOTATIONS).exists():
        test = _annotated(folder / "val", numbers)
    else:
        test = _files(_class_folders(folder, "val"), numbers)
    return {"train": _files(train, numbers), "test": test}


def is_tiny_imagenet(folder: StrPath) -> bool:
    """Whether a folder has the layout that only Tiny-ImageNet has."""
    return (Path(folder) / "val" / ANNOTATIONS).exists()


def _class_folders(folder, split):
    if not (folder / split).is_dir():
        raise ValueError(
            f"DATA {folder}: neither npz files, nor files of torchvision's, nor a folder {split}/ of class folders; "
            "give e.g. digits"
        )
    found = {path.name: path for path in (folder / split).iterdir() if path.is_dir() and path.name[0] != "."}
    if not found:
        raise ValueError(f"DATA {folder}: no class folders in {split}/; put images in e.g. {split}/cat/1.jpg")
    return found


def _files(folders, numbers):
    paths, targets = [], []
    for name, folder in sorted(folders.items()):
        found = sorted(str(path) for path in folder.rglob("*") if _is_image(path.relative_to(folder)))
        if not found:
            raise ValueError(f"DATA {folder}: no images in it; give files that end in e.g. .jpg")
        paths += found
        targets += [_number(name, numbers, folder)] * len(found)
    return Images(paths, torch.tensor(targets))


def _is_image(path):
    """True for the names of images, but not for hidden files such as macOS's ``._1.png``."""
    return path.suffix.lower() in SUFFIXES and not any(part[0] == "." for part in path.parts)


def _annotated(folder, numbers):
    lines = [line.split("\t") for line in (folder / ANNOTATIONS).read_text().splitlines() if line.strip()]
    if any(len(line) < 2 for line in lines):
        raise ValueError(f"DATA {folder / ANNOTATIONS}: its lines need a file and a class, separated by a tab")
    targets = [_number(line[1], numbers, folder / ANNOTATIONS) for line in lines]
    return Images([str(folder / "images" / line[0]) for line in lines], torch.tensor(targets, dtype=torch.int64))


def _number(name, numbers, where):
    if name not in numbers:
        raise ValueError(f"DATA {where}: class {name} is not in train/, which has e.g. {min(numbers)}")
    return numbers[name]
