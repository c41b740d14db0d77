"""Images with their classes, in memory or as files, and checks to make before they are used."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike
from torch import Tensor

from .table import ImageSet

_CHUNK = 4096  # images that are resized at once, to limit the memory for their float copies


@dataclass(frozen=True)
class Images:
    """One split.

    Attributes:
        images: uint8 tensor [N, channels, height, width], or a list of N paths.
        targets: int64 tensor [N], classes from 0.
    """

    images: torch.Tensor | list[str]
    targets: torch.Tensor

    def __len__(self):
        return len(self.targets)

    def take(self, indices: ArrayLike) -> Self:
        """The images at an int64 array of indices, in that order."""
        chosen = torch.as_tensor(indices, dtype=torch.int64)
        if torch.is_tensor(self.images):
            return type(self)(self.images[chosen], self.targets[chosen])
        return type(self)([self.images[index] for index in chosen.tolist()], self.targets[chosen])


def resize(images: Tensor, size: int) -> Tensor:
    """Resize bilinearly, with antialiasing.

    Args:
        images: uint8 tensor [N, channels, height, width].
        size: the new height and width in pixels.

    Returns:
        uint8 tensor [N, channels, size, size]; the same tensor if it has that size.
    """
    if images.shape[2:] == (size, size):
        return images
    parts = images.split(_CHUNK)
    resized = (F.interpolate(part.float(), (size, size), mode="bilinear", antialias=True) for part in parts)
    return torch.cat([part.round_().clamp_(0, 255).to(torch.uint8) for part in resized])


def check_labels(data: str, parts: Mapping[str, Images], classes: int) -> None:
    """Refuse empty splits, and classes for which the model has no output.

    Args:
        data: the DATA argument.
        parts: dict of split -> :class:`Images`.
        classes: count.

    Raises:
        ValueError: the message names the split.
    """
    for split, part in parts.items():
        if not len(part):
            raise ValueError(f"DATA {data}: no images for {split}; give e.g. digits")
        low, high = int(part.targets.min()), int(part.targets.max())
        if low < 0 or high >= classes:
            raise ValueError(
                f"DATA {data}: labels {low} to {high} in {split}, not in 0 to {classes - 1}; "
                "give the --image-set that the data are of, e.g. --image-set cifar100"
            )


def check_shape(data: str, parts: Mapping[str, Images], row: ImageSet) -> tuple[int, ...]:
    """Refuse images in memory whose shape is not that of their data set.

    Args:
        data: the DATA argument.
        parts: dict of split -> :class:`Images` with tensors.
        row: :class:`~.table.ImageSet`, with None for sizes that may be anything.

    Returns:
        (channels, height, width) of all images.

    Raises:
        ValueError: the message names both shapes.
    """
    shapes = {split: tuple(part.images.shape[1:]) for split, part in parts.items() if torch.is_tensor(part.images)}
    first = shapes["train"]
    for split, shape in shapes.items():
        wanted = tuple(w or s for w, s in zip((row.channels, row.size, row.size), first, strict=True))
        if shape != wanted:
            raise ValueError(
                f"DATA {data}: images of {'x'.join(map(str, shape))} in {split}, not of {'x'.join(map(str, wanted))} "
                "(channels, height, width); give the --image-set that the data are of, or --image-size, e.g. 32"
            )
    return first
