"""Units of convolutions: stripes and kernels."""

import torch
from torch import Tensor

from .base import UNITS, Units


@UNITS.add("stripe")
class Stripe(Units):
    """All inputs of one output at one place of the kernel: [outputs, taps].

    Source: Meng et al., NeurIPS 2020 (arXiv:2009.14410). Where a kernel has one place, a stripe would be a filter.
    """

    def check(self, shape: torch.Size) -> None:
        _check_taps(shape, "stripes")

    def sizes(self, shape: torch.Size) -> int:
        return shape[1]

    def pool(self, values: Tensor) -> Tensor:
        return values.mean(1).flatten()

    def spread(self, values: Tensor, shape: torch.Size) -> Tensor:
        return values.view(shape[0], 1, *shape[2:]).expand(shape).contiguous()


@UNITS.add("kernel")
class Kernel(Units):
    """All places of the kernel of one output and one input: [outputs, inputs]."""

    def check(self, shape: torch.Size) -> None:
        if len(shape) < 3:
            raise ValueError(f"a tensor of shape {list(shape)} has no kernels")

    def sizes(self, shape: torch.Size) -> int:
        return shape[2:].numel()

    def pool(self, values: Tensor) -> Tensor:
        return values.flatten(2).mean(2).flatten()

    def spread(self, values: Tensor, shape: torch.Size) -> Tensor:
        return values.view(*shape[:2], *[1] * (len(shape) - 2)).expand(shape).contiguous()


def _check_taps(shape, what):
    if len(shape) < 3 or shape[2:].numel() == 1:
        raise ValueError(f"a tensor of shape {list(shape)} has no kernel larger than 1, so no {what}")
