"""Random changes to a batch of images, different for each image, made for the whole batch at once.

Each takes a tensor [B, channels, height, width], uint8 or float, on the CPU, draws from the given
generator and returns a new tensor of the same shape.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def random_crop(images: Tensor, padding: int, generator: torch.Generator) -> Tensor:
    """Shift each image by up to ``padding`` pixels along both axes, filling with zeros.

    All ``(2 * padding + 1) ** 2`` shifts are equally likely, as in torchvision's
    ``RandomCrop(size, padding)``.

    Args:
        images: [B, channels, height, width].
        padding: pixels, at least 0.
        generator: torch generator.

    Returns:
        Tensor of the same shape and dtype.
    """
    count, _, height, width = images.shape
    down, right = torch.randint(0, 2 * padding + 1, (2, count), generator=generator).numpy()
    padded = F.pad(images, [padding] * 4).numpy()
    windows = np.lib.stride_tricks.sliding_window_view(padded, (height, width), (2, 3))  # [B, C, shifts, shifts, H, W]
    return torch.from_numpy(windows[np.arange(count), :, down, right])  # numpy copies whole rows, torch pixel by pixel


def random_flip(images: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    """Flip each image horizontally with the given probability.

    Args:
        images: [B, channels, height, width].
        probability: in [0, 1].
        generator: torch generator.

    Returns:
        Tensor of the same shape and dtype.
    """
    mirrored = (torch.rand(len(images), generator=generator) < probability).numpy()
    changed = images.numpy().copy()
    changed[mirrored] = changed[mirrored][..., ::-1]
    return torch.from_numpy(changed)


def random_affine(images: Tensor, degrees: float, generator: torch.Generator) -> Tensor:
    """Rotate each image about its centre, with bilinear interpolation, filling with zeros.

    Args:
        images: [B, channels, height, width].
        degrees: largest angle; angles are uniform in [-degrees, degrees].
        generator: torch generator.

    Returns:
        Float tensor of the same shape, with pixels in the same range.
    """
    angles = (2 * torch.rand(len(images), generator=generator) - 1) * math.radians(degrees)
    return rotate(images, angles)


def rotate(images: Tensor, angles: Tensor) -> Tensor:
    """Rotate each image counter-clockwise by its angle.

    Args:
        images: [B, channels, height, width].
        angles: [B], in radians.

    Returns:
        Float tensor of the same shape.
    """
    height, width = images.shape[2:]
    cos, sin, zero = angles.cos(), angles.sin(), torch.zeros_like(angles)
    rows = [[cos, -sin * height / width, zero], [sin * width / height, cos, zero]]  # axes run from -1 to 1
    theta = torch.stack([torch.stack(row, dim=1) for row in rows], dim=1)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images.float(), grid, align_corners=False)


def random_part(height: int, width: int, generator: torch.Generator) -> tuple[int, int, int, int]:
    """Draw the part of an image that torchvision's ``RandomResizedCrop`` would keep.

    Its area is uniform in 8 to 100 % of the image's; the logarithm of its aspect ratio is uniform between
    those of 3:4 and 4:3. After ten draws that do not fit, it is the centre, with the nearest possible ratio.

    Args:
        height, width: of the image, in pixels.
        generator: torch generator.

    Returns:
        ``(top, left, height, width)`` in pixels.
    """
    low, high = 3 / 4, 4 / 3
    for _ in range(10):
        area, ratio = torch.rand(2, generator=generator).tolist()
        area = height * width * (0.08 + area * 0.92)
        ratio = low * (high / low) ** ratio
        h, w = round(math.sqrt(area / ratio)), round(math.sqrt(area * ratio))
        if 0 < h <= height and 0 < w <= width:
            top = int(torch.randint(0, height - h + 1, (), generator=generator))
            left = int(torch.randint(0, width - w + 1, (), generator=generator))
            return top, left, h, w
    h, w = min(height, round(width / low)), min(width, round(height * high))
    return (height - h) // 2, (width - w) // 2, h, w
