"""Thresholds in standard deviations of the weights."""

import re
from dataclasses import dataclass
from typing import Self

from torch import Tensor


@dataclass(frozen=True)
class Deviation:
    """Remove what is smaller than so many standard deviations of the layer's weights.

    Source: Han et al. 2015 (arXiv:1506.02626), section 3.2, "quality parameter".

    Args:
        factor: of the standard deviation, > 0.
    """

    factor: float

    @classmethod
    def parse(cls, text: str | float) -> Self:
        """Read ``0.7std``.

        Raises:
            ValueError: anything else.
        """
        found = re.fullmatch(r"(\d*\.?\d+)std", str(text).strip())
        if not found or not float(found[1]):
            raise ValueError(f"{text}: write 0.7std for what is below 0.7 standard deviations")
        return cls(float(found[1]))

    def __str__(self) -> str:
        return f"{self.factor}std"

    def count_below(self, weights: Tensor) -> int:
        """How many weights, a float tensor, are smaller (count)."""
        return int((weights.abs() < self.factor * weights.std(correction=0)).sum())
