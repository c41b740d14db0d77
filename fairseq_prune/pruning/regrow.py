"""Drop and grow: the weakest weights are dropped, and as many of the missing ones are grown."""

import math

import torch
from torch import Tensor

from .selecting.ranking import drop_lowest


def cosine(share: float, progress: float) -> float:
    """A share that falls to 0 along a cosine: Dettmers & Zettlemoyer 2019 (arXiv:1907.04840), RigL's eq. 1.

    Args:
        share: at the start, in [0, 1].
        progress: part of the way, in [0, 1].
    """
    return share / 2 * (1 + math.cos(math.pi * progress))


def drop_and_grow(weight: Tensor, keep: Tensor, share: float, scores: Tensor) -> Tensor:
    """Move a mask: it keeps as many weights as before, but others.

    The smallest of the kept weights are dropped. Then as many weights grow, out of all that are missing; those just
    dropped are among these, so where they score highest, they return.

    Args:
        weight: any shape and float dtype.
        keep: bool, of its shape; True = keep.
        share: of the kept weights to drop (rounded down), in [0, 1].
        scores: of its shape; missing weights with the highest are grown.

    Returns:
        bool of its shape, with as many True as ``keep`` has.

    Raises:
        ValueError: a weight or a score is NaN.

    Example:
        >>> keep = torch.tensor([True, True, True, False, False])
        >>> drop_and_grow(torch.tensor([3.0, 1.0, 2.0, 0.0, 0.0]), keep, 0.4, torch.tensor([0.0, 0.1, 0.2, 0.3, 0.4]))
        tensor([ True, False,  True, False,  True])
    """
    missing = keep.numel() - int(keep.count_nonzero())
    moved = min(int(share * (keep.numel() - missing)), missing)
    if not moved:
        return keep
    held = drop_lowest(weight.abs().float().masked_fill(~keep, -1.0).flatten(), missing + moved)
    return drop_lowest(scores.float().flatten().masked_fill(held, torch.inf), missing).view_as(keep)
