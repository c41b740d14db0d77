"""Rows and columns: all elements that share one index of an axis."""

import torch
from torch import Tensor

from .base import UNITS, Units


class _Slice(Units):
    axis: int

    def check(self, shape: torch.Size) -> None:
        if len(shape) < 2:
            raise ValueError(f"a tensor of shape {list(shape)} has no rows and columns")

    def sizes(self, shape: torch.Size) -> int:
        return shape.numel() // shape[self.axis]

    def pool(self, values: Tensor) -> Tensor:
        others = [d for d in range(values.dim()) if d != self.axis]
        return values.mean(others)

    def spread(self, values: Tensor, shape: torch.Size) -> Tensor:
        view = [1] * len(shape)
        view[self.axis] = -1
        return values.view(view).expand(shape).contiguous()


@UNITS.add("row")
class Row(_Slice):
    """Everything under one index of axis 0: a linear layer's output, an embedding's word."""

    axis = 0


@UNITS.add("column")
class Column(_Slice):
    """Everything under one index of axis 1: a linear layer's input, an embedding's dimension."""

    axis = 1
