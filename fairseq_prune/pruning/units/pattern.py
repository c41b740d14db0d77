"""Patterns of 3x3 kernels."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from .base import UNITS
from .support import Support, topmost

CENTRE, TAPS, ENTRIES = 4, 9, 4
SEED = (0b101010101, 0b010111010, 0b110010110, 0b011010011)  # five entries each, row by row


@UNITS.add("pattern")
@dataclass(frozen=True)
class Pattern(Support):
    """The survivors of every 3x3 kernel are one of few patterns; whole kernels are removed beyond that.

    Source: Niu et al., ASPLOS 2020 (arXiv:2001.00138), PatDNN. A natural pattern is the centre and the three largest
    of the other weights; the library is the most frequent ones of the weights at the first selection.

    Args:
        size: of the library (count).
        fixed: codes of a library that is not learned; None: learn it.
        squared: a pattern is worth the squares of what it keeps; else magnitudes.
    """

    size: int = 8
    fixed: tuple[int, ...] | None = None
    squared: bool = True

    @classmethod
    def parse(cls, argument: str) -> Self:
        """Read ``pattern``, ``pattern:12`` (size of the library) or ``pattern:seed`` (its four of five entries)."""
        if argument == "seed":
            return cls(len(SEED), SEED, False)
        if argument and not (argument.isdigit() and 1 <= int(argument) <= 56):
            raise ValueError(f"cannot read library {argument!r}; write pattern, pattern:12 (1 to 56) or pattern:seed")
        return cls(int(argument or cls.size))

    def check(self, shape: torch.Size) -> None:
        if len(shape) != 4 or tuple(shape[2:]) != (3, 3):
            raise ValueError(f"a tensor of shape {list(shape)} has no 3x3 kernels")

    @property
    def entries(self) -> int:
        """Weights that a pattern keeps (count)."""
        return self.fixed[0].bit_count() if self.fixed else ENTRIES

    @property
    def least(self) -> float:
        """Fraction that the patterns alone remove."""
        return 1 - self.entries / TAPS

    def learn(self, weights: Iterable[Tensor]) -> tuple[int, ...]:
        """The library for some weights.

        Args:
            weights: list of tensors [outputs, inputs, 3, 3].

        Returns:
            tuple of codes: bit 8 is the first weight of a kernel, bit 0 the last; the smaller code wins ties.
        """
        if self.fixed:
            return self.fixed
        counts = torch.zeros(2**TAPS, dtype=torch.long)
        for weight in weights:
            kernels = weight.detach().float().abs().reshape(-1, TAPS)
            kernels = kernels[kernels.any(1)].cpu()
            kernels[:, CENTRE] = torch.inf
            counts += torch.bincount(_codes(topmost(kernels, ENTRIES, 1)), minlength=2**TAPS)
        order = counts.argsort(descending=True, stable=True)[: self.size]
        return tuple(int(code) for code in order if counts[code])

    def fit(self, scores: Tensor, library: tuple[int, ...]) -> Tensor:
        """The pattern of each kernel that keeps most.

        Args:
            scores: float, of weights [outputs, inputs, 3, 3], 0 or more.
            library: tuple of codes.

        Returns:
            Bool, shape of the scores; True = keep.
        """
        patterns = decode(library).to(scores.device)
        worth = scores.reshape(-1, TAPS)
        worth = worth.square() if self.squared else worth
        return patterns[(worth @ patterns.to(worth).T).argmax(1)].view(scores.shape)


def decode(codes: tuple[int, ...]) -> Tensor:
    """Patterns of codes, bool [patterns, 9]."""
    bits = torch.arange(TAPS - 1, -1, -1)
    return (torch.tensor(codes)[:, None] >> bits & 1).bool()


def _codes(patterns):
    bits = 2 ** torch.arange(TAPS - 1, -1, -1)
    return patterns.long() @ bits
