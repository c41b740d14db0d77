"""Rectangular blocks of a matrix."""

import math
import re
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from .base import UNITS, Units


@UNITS.add("block")
@dataclass(frozen=True)
class Block(Units):
    """Blocks of ``height`` x ``width``, smaller at the lower and right edge where they do not fit.

    Axis 0 is the height; all further axes are joined into the width.

    Args:
        height: rows in a block (count), >= 1.
        width: columns in a block (count), >= 1.
    """

    height: int = 4
    width: int = 4

    @classmethod
    def parse(cls, argument: str) -> Self:
        if not argument:
            return cls()
        found = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", argument)
        if not found:
            raise ValueError(f"cannot read block size {argument!r}; write e.g. 'block:4x4'")
        return cls(int(found[1]), int(found[2]))

    def check(self, shape: torch.Size) -> None:
        if len(shape) < 2:
            raise ValueError(f"a tensor of shape {list(shape)} has no blocks")

    def _grid(self, shape):
        rows, columns = shape[0], math.prod(shape[1:])
        return rows, columns, math.ceil(rows / self.height), math.ceil(columns / self.width)

    def sizes(self, shape: torch.Size) -> int | Tensor:
        rows, columns, down, across = self._grid(shape)
        if (rows, columns) == (down * self.height, across * self.width):
            return self.height * self.width
        heights = (rows - self.height * torch.arange(down)).clamp(max=self.height)
        widths = (columns - self.width * torch.arange(across)).clamp(max=self.width)
        return (heights[:, None] * widths).flatten()

    def pool(self, values: Tensor) -> Tensor:
        rows, columns, down, across = self._grid(values.shape)
        padded = values.new_zeros(down * self.height, across * self.width)
        padded[:rows, :columns] = values.reshape(rows, columns)
        sums = padded.view(down, self.height, across, self.width).sum((1, 3)).flatten()
        return sums / torch.as_tensor(self.sizes(values.shape)).to(sums)

    def spread(self, values: Tensor, shape: torch.Size) -> Tensor:
        rows, columns, down, across = self._grid(shape)
        grid = values.view(down, 1, across, 1).expand(down, self.height, across, self.width)
        return grid.reshape(down * self.height, -1)[:rows, :columns].reshape(shape)
