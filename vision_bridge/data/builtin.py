"""Data sets that need no files: scikit-learn's digits, and a generated one."""

import numpy as np
import torch

from .images import Images, resize
from .splits import stratified_draw

_TEST_FRACTION, _DIGITS, _SYNTHETIC = 0.2, 20212, 20213  # test fraction of the digits; seeds
_SIZES = {"train": 2000, "test": 500}  # images in the synthetic set


def read_digits(size: int) -> dict[str, Images]:
    """The 1,797 digits of 8x8 pixels that come with scikit-learn, a fifth of them for testing.

    Args:
        size: height and width in pixels to resize them to.

    Returns:
        dict of split -> :class:`~.images.Images`, uint8 [N, 1, size, size].

    Raises:
        ValueError: scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise ValueError("DATA digits: comes with scikit-learn; pip install scikit-learn, or give synthetic") from None
    digits = load_digits()
    pixels = torch.from_numpy(np.round(digits.images * (255 / 16)).astype(np.uint8))
    everything = Images(resize(pixels[:, None], size), torch.from_numpy(digits.target.astype(np.int64)))
    tests = stratified_draw(digits.target, _TEST_FRACTION, _DIGITS)
    return {"train": everything.take(np.flatnonzero(~tests)), "test": everything.take(np.flatnonzero(tests))}


def make_synthetic(size: int) -> dict[str, Images]:
    """Ten classes, each with a smooth random picture; every image is a noisy copy of its class's picture.

    Args:
        size: height and width in pixels.

    Returns:
        dict of split -> :class:`~.images.Images`, uint8 [N, 3, size, size]; always the same images.
    """
    generator = torch.Generator().manual_seed(_SYNTHETIC)
    coarse = torch.randint(64, 192, (10, 3, 4, 4), generator=generator, dtype=torch.uint8)
    prototypes = resize(coarse, size).float()
    parts = {}
    for split, count in _SIZES.items():
        targets = torch.arange(count) % 10
        noisy = prototypes[targets] + 64 * torch.randn(count, 3, size, size, generator=generator)
        parts[split] = Images(noisy.round_().clamp_(0, 255).to(torch.uint8), targets)
    return parts
