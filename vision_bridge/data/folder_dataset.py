"""Images in files, read when a batch needs them."""

from typing import Any

import numpy as np
import torch

from .augment import random_part
from .files import read_image
from .image_dataset import ImageDataset
from .images import Images
from .seeds import generator_of

_PART = 3  # mixed into the seed, to separate its uses


class FolderDataset(ImageDataset):
    """A split whose images are files, of any size.

    Args:
        images: :class:`~.images.Images` with paths.
        size: height and width of an image in a batch, in pixels.
        border: an image is resized so that its shorter side has ``border * size`` pixels, and its centre is
            kept; in training with ``resized_crop``, a random part of it is resized instead.
        **common: as for :class:`~.image_dataset.ImageDataset`.
    """

    def __init__(self, images: Images, size: int, border: float, **common: Any):
        super().__init__(images, **common)
        self.pixels, self.border = size, border

    def __getitem__(self, number):
        """``(number, uint8 tensor [3, size, size])``.

        Raises:
            ValueError: the file is not a readable image.
        """
        from PIL import Image

        image = read_image(self.images[number % len(self)])
        if self.augmentation is not None and self.augmentation.resized_crop:
            generator = generator_of(_PART, self.seed, number)
            top, left, height, width = random_part(image.height, image.width, generator)
            image = image.crop((left, top, left + width, top + height))
            image = image.resize((self.pixels, self.pixels), Image.Resampling.BILINEAR)
        else:
            image = self._centre(image, Image.Resampling.BILINEAR)
        return int(number), torch.from_numpy(np.array(image)).permute(2, 0, 1)

    def _centre(self, image, filter_):
        shorter = round(self.border * self.pixels)
        width, height = image.size
        scaled = [max(shorter, int(shorter * side / min(width, height))) for side in (width, height)]
        image = image.resize(scaled, filter_)
        left, top = (round((side - self.pixels) / 2) for side in scaled)
        return image.crop((left, top, left + self.pixels, top + self.pixels))

    def _gather(self, samples):
        numbers, images = zip(*samples, strict=True)
        return torch.tensor(numbers), torch.stack(images)
