"""Holding elements of a tensor at their values."""

from collections.abc import Sequence

import torch
from torch import Tensor

# Instead of 0, so that Adam's second moment of held elements is a normal number: the square root of torch on CPUs
# (MKL's) is 25 times slower on zeros and denormals, 24 ms of a step of 500. It is far too small to change the norm of
# the gradients, and what a step makes of it is put back.
TRACE = 1e-10


class HeldElements:
    """Elements of one parameter, in all tensors that hold its value.

    Interpolating by 0 and 1 gives either side to the bit, and is four times as fast as choosing by a bool tensor. It
    passes on an infinite or undefined neighbour: a step that overflowed is to be skipped before.

    Args:
        where: bool tensor, True = held.
        tensors: the tensors of that shape whose present values are held.
    """

    def __init__(self, where: Tensor, tensors: Sequence[Tensor]):
        self._free = {tensor.dtype: (~where).to(tensor.dtype) for tensor in tensors}
        self._values = [tensor.clone() for tensor in tensors]

    def restore(self, tensors: Sequence[Tensor]) -> None:
        """Give the held elements their values back, to the bit."""
        for tensor, values in zip(tensors, self._values, strict=True):
            torch.lerp(values, tensor, self._free[tensor.dtype], out=tensor)

    def clear(self, gradient: Tensor) -> None:
        """Give the held elements no gradient but :data:`TRACE`."""
        trace = gradient.new_tensor(TRACE).expand_as(gradient)
        torch.lerp(trace, gradient, self._free[gradient.dtype], out=gradient)
