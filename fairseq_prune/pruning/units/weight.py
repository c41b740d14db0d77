"""Single weights."""

import torch
from torch import Tensor

from .base import UNITS, Units


@UNITS.add("weight")
class Weight(Units):
    """Every element is its own unit, in row-major order (unstructured pruning)."""

    def check(self, shape: torch.Size) -> None:
        pass

    def sizes(self, shape: torch.Size) -> int:
        return 1

    def pool(self, values: Tensor) -> Tensor:
        return values.flatten()

    def spread(self, values: Tensor, shape: torch.Size) -> Tensor:
        return values.view(shape)
