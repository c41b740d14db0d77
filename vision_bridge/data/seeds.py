"""Seeds that depend only on where in a run they are used."""

import hashlib

import numpy as np
import torch
from numpy.typing import ArrayLike


def seed_of(*numbers: ArrayLike) -> int:
    """An integer in [0, 2**63) that stands for these integers, or arrays of them, in this order."""
    words = np.concatenate([np.asarray(number, dtype=np.int64).reshape(-1) for number in numbers])
    return int.from_bytes(hashlib.blake2b(words.tobytes(), digest_size=8).digest(), "little") >> 1


def generator_of(*numbers: ArrayLike) -> torch.Generator:
    """A torch generator on the CPU for :func:`seed_of` these; the global ones stay as they are."""
    return torch.Generator().manual_seed(seed_of(*numbers))
