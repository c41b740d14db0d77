"""Absolute thresholds."""

import re
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class Threshold:
    """Remove the units whose score is at most so much, however many they are.

    Args:
        limit: of the score by the run's importance, >= 0.
    """

    limit: float

    @classmethod
    def parse(cls, text: str | float) -> Self:
        """Read ``0.001abs``.

        Raises:
            ValueError: anything else.
        """
        found = re.fullmatch(r"(\d*\.?\d+(?:e-?\d+)?)abs", str(text).strip())
        if not found:
            raise ValueError(f"{text}: write 0.001abs for scores of 0.001 or less")
        return cls(float(found[1]))

    def __str__(self):
        return f"{self.limit:g}abs"
