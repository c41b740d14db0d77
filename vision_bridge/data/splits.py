"""Splitting images into training, validation and test sets, the same for every seed."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from .images import Images

_HOLDOUT, _SHUFFLE = 20210, 20211  # seeds


def stratified_draw(targets: ArrayLike, fraction: float, seed: int) -> np.ndarray:
    """Draw the same fraction of the images of each class.

    Args:
        targets: int array [N] of classes.
        fraction: in [0, 1].
        seed: seed of the draw.

    Returns:
        Boolean array [N], True for ``round(fraction * N)`` images; each class has its share to within one image.
    """
    targets = np.asarray(targets)
    order = np.random.default_rng(seed).permutation(len(targets))
    order = order[np.argsort(targets[order], kind="stable")]  # sorted by class, shuffled within each
    _, starts, counts = np.unique(targets[order], return_index=True, return_counts=True)
    place = (np.arange(len(order)) - np.repeat(starts, counts) + 0.5) / np.repeat(counts, counts)  # in the class
    drawn = np.zeros(len(targets), dtype=bool)
    drawn[order[np.argsort(place, kind="stable")[: round(fraction * len(targets))]]] = True
    return drawn


def split(parts: Mapping[str, Images], name: str, holdout: float, max_train_images: int | None = None) -> Images:
    """The images of a split.

    Args:
        parts: dict of "train" and "test" -> :class:`~.images.Images`.
        name: train, valid or test.
        holdout: fraction of the training images that form "valid"; if 0, "valid" is the test set.
        max_train_images: how many of the others "train" has at most (count), or None.

    Raises:
        ValueError: there is no such split, or it is empty.
    """
    if name not in ("train", "valid", "test"):
        raise ValueError(f"split {name!r}: there are train, valid and test; give e.g. --valid-subset valid")
    if name == "test" or (name == "valid" and not holdout):
        return parts["test"]
    held = stratified_draw(parts["train"].targets, holdout, _HOLDOUT)
    indices = np.flatnonzero(held if name == "valid" else ~held)
    if name == "train" and max_train_images is not None:
        indices = np.random.default_rng(_SHUFFLE).permutation(indices)[:max_train_images]
    if not len(indices):
        raise ValueError(f"--holdout {holdout}: leaves {name} without images; give e.g. --holdout 0.1")
    return parts["train"].take(indices)
