"""Supports: rules for which weights of a small group may be kept together."""

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Tensor

from .base import UNITS

_WIDE = 16  # group sizes up to which comparing all pairs beats a sort


class Support(ABC):
    """A rule that the survivors of every small group obey, as 2 of any 4."""

    scope: ClassVar[str | None] = "layer"

    @classmethod
    @abstractmethod
    def parse(cls, argument: str) -> Self:
        """As :meth:`~.base.UnitKind.parse`."""

    @abstractmethod
    def check(self, shape: torch.Size) -> None:
        """Raise ValueError if tensors [outputs, inputs, taps...] cannot obey."""


@dataclass(frozen=True)
class NofM(float):
    """A fraction removed, 1 - n/m, that says how: of m consecutive inputs, n stay."""

    n: int
    m: int

    def __new__(cls, n: int, m: int) -> Self:
        return super().__new__(cls, 1 - n / m)

    @classmethod
    def parse(cls, text: str | float) -> Self:
        """Read ``2:4``, or ``m4n2`` as the seed writes it.

        Raises:
            ValueError: neither, or not 1 <= n <= m.
        """
        text = str(text).strip()
        found = re.fullmatch(r"(?P<n>\d+):(?P<m>\d+)|m(?P<mm>\d+)n(?P<nn>\d+)", text)
        n, m = (int(found["n"] or found["nn"]), int(found["m"] or found["mm"])) if found else (0, 0)
        if not 1 <= n <= m:
            raise ValueError(f"{text!r}: write 2:4 or m4n2 to keep 2 of every 4")
        return cls(n, m)

    def __str__(self):
        return f"{self.n}:{self.m}"

    __repr__ = __str__


@UNITS.add("n:m")
class NM(Support):
    """Of every M consecutive inputs, at each output and tap, N stay; each tensor's target says which.

    Source: Mishra et al. 2021 (arXiv:2104.08378); the seed calls 2:4 m4n2.
    """

    @classmethod
    def parse(cls, argument: str) -> Self:
        if argument:
            raise ValueError(f"units n:m take no argument, got {argument!r}; write e.g. --prune-units 2:4")
        return cls()

    def check(self, shape: torch.Size) -> None:
        if len(shape) < 2:
            raise ValueError(f"a tensor of shape {list(shape)} has no inputs")

    def check_period(self, shape: torch.Size, period: int) -> None:
        """Raise ValueError if the inputs are not whole groups."""
        if shape[1] % period:
            raise ValueError(f"its {shape[1]} inputs are not divisible by {period}")

    def keep(self, scores: Tensor, n: int, m: int) -> Tensor:
        """The n largest of every m consecutive inputs; of equal ones, those at higher indices.

        Args:
            scores: float [outputs, inputs, taps...], inputs divisible by m.
            n: how many stay (count).
            m: size of a group (count).

        Returns:
            Bool, shape of the scores; True = keep.
        """
        return self.keep_each([scores], n, m)[0]

    def keep_each(self, scores: Sequence[Tensor], n: int, m: int) -> list[Tensor]:
        """As :meth:`keep`, for a list of scores, compared in one go: list of bool."""
        grouped = [s.reshape(s.shape[0], -1, m, s.shape[2:].numel()).movedim(2, 3) for s in scores]
        kept = topmost(torch.cat([g.reshape(-1, m) for g in grouped]), n, 1).split([g.numel() // m for g in grouped])
        rows = (part.view(g.shape).movedim(3, 2) for part, g in zip(kept, grouped, strict=True))
        return [row.reshape(s.shape) for row, s in zip(rows, scores, strict=True)]


def topmost(values: Tensor, n: int, dim: int) -> Tensor:
    """Where the n largest along an axis are; of equal ones, those at higher indices.

    Args:
        values: float tensor.
        n: how many (count).
        dim: axis.

    Returns:
        Bool, shape of the values.
    """
    size = values.shape[dim]
    if size > _WIDE:
        order = values.argsort(dim=dim, stable=True)
        keep = torch.zeros_like(values, dtype=torch.bool)
        return keep.scatter_(dim, order.narrow(dim, size - n, n), True)
    columns = [column.contiguous() for column in values.unbind(dim)]
    above = [torch.full_like(column, i, dtype=torch.uint8) for i, column in enumerate(columns)]
    for i in range(size):
        for j in range(i + 1, size):
            wins = (columns[j] >= columns[i]).view(torch.uint8)
            above[i] += wins
            above[j] -= wins
    return torch.stack([count < n for count in above], dim)
