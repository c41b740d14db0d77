"""Images in memory; each batch is augmented and normalised as a whole."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from fairseq.data import FairseqDataset
from torch import Tensor

from .augment import random_affine, random_crop, random_flip
from .images import Images
from .seeds import generator_of, seed_of
from .table import Augmentation

_ORDER, _BATCH = 1, 2  # mixed into the seed, to separate its uses


class ImageDataset(FairseqDataset):
    """A split whose images are in memory.

    Randomness depends only on the seed, the epoch and the images of a batch, not on the process that
    makes the batch, the batches before it, or the global generators. Worker processes keep the dataset
    as it was when they started, so a sample is requested by its number ``epoch * len(dataset) + index``;
    in evaluation, the epoch is 0, so that numbers are indices.

    Args:
        images: :class:`~.images.Images`.
        mean, std: of pixels in [0, 1], tuples with one value per channel or one for all.
        augmentation: :class:`~.table.Augmentation` for training, where each epoch has its own order.
            None for evaluation: images are in order and unchanged.
        seed: integer.
    """

    def __init__(
        self,
        images: Images,
        mean: Sequence[float],
        std: Sequence[float],
        augmentation: Augmentation | None = None,
        seed: int = 1,
    ):
        self.images: Any = images.images  # a tensor, or paths if the images are files
        self.targets = images.targets
        self.augmentation, self.seed, self.epoch = augmentation, seed, 1
        centre, spread = (torch.tensor(values, dtype=torch.float64)[:, None, None] for values in (mean, std))
        self._scale, self._shift = (1 / (255 * spread)).float(), (-centre / spread).float()

    def __len__(self):
        return len(self.targets)

    def __getitem__(self, number):
        return int(number)

    @property
    def can_reuse_epoch_itr_across_epochs(self):
        """False for training, where each epoch has different batches."""
        return self.augmentation is None

    def num_tokens(self, number):
        """An image counts as one token."""
        return 1

    def size(self, number):
        """Images are never too long."""
        return 1

    def set_epoch(self, epoch):
        """Select the order and the augmentation of an epoch, counted from 1."""
        self.epoch = epoch

    def ordered_indices(self):
        """The numbers of all samples, int64 [N]: shuffled for training, otherwise in order."""
        if self.augmentation is None:
            return np.arange(len(self))
        order = np.random.default_rng(seed_of(_ORDER, self.seed, self.epoch)).permutation(len(self))
        return self.epoch * len(self) + order

    def batch_by_size(self, indices, max_sentences=None, **limits):
        """Consecutive batches of exactly ``max_sentences`` samples; the last batch has the rest."""
        return [indices[at : at + max_sentences] for at in range(0, len(indices), max_sentences)]

    def batches(self, epoch: int, max_sentences: int) -> list[np.ndarray]:
        """The batches of an epoch: a list of arrays of sample numbers."""
        self.set_epoch(epoch)
        return self.batch_by_size(self.ordered_indices(), max_sentences)

    def collater(self, samples):
        """Make a batch.

        Args:
            samples: B results of ``__getitem__``, of one epoch; empty if a rank has no samples left.

        Returns:
            dict of ``id`` and ``target``, int64 [B]; ``net_input``, dict of ``image``, float32
            [B, channels, height, width]; ``nsentences`` and ``ntokens``, B. Empty without samples.
        """
        if not samples:
            return {}
        numbers, pixels = self._gather(samples)
        indices = numbers % len(self)
        if self.augmentation is not None:
            pixels = self._augment(pixels, self.augmentation, generator_of(_BATCH, self.seed, numbers))
        return {
            "id": indices,
            "nsentences": len(indices),
            "ntokens": len(indices),
            "net_input": {"image": self.normalise(pixels)},
            "target": self.targets[indices],
        }

    def normalise(self, pixels: Tensor) -> Tensor:
        """Normalise pixels in [0, 255] to the model's input, float32."""
        return pixels.float().mul_(self._scale).add_(self._shift)

    def _gather(self, samples):
        """Numbers [B] and pixels [B, channels, height, width] of the samples."""
        numbers = torch.tensor(samples)
        return numbers, self.images.index_select(0, numbers % len(self))

    def _augment(self, pixels, chosen, generator):
        if chosen.degrees:
            pixels = random_affine(pixels, chosen.degrees, generator)
        if chosen.padding:
            pixels = random_crop(pixels, chosen.padding, generator)
        if chosen.flip:
            pixels = random_flip(pixels, chosen.flip, generator)
        return pixels
