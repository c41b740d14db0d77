"""Seeds that depend only on the place in a run where they are used."""

import hashlib

import numpy as np
import torch
from numpy.typing import ArrayLike


def seed_of(*numbers: ArrayLike) -> int:
    """Hash integers, or arrays of integers, in the given order to an integer in [0, 2**63)."""
    words = np.concatenate([np.asarray(number, dtype=np.int64).reshape(-1) for number in numbers])
    return int.from_bytes(hashlib.blake2b(words.tobytes(), digest_size=8).digest(), "little") >> 1


def generator_of(*numbers: ArrayLike) -> torch.Generator:
    """A torch generator on the CPU, seeded by :func:`seed_of`; the global generators are not affected."""
    return torch.Generator().manual_seed(seed_of(*numbers))
