"""Holding elements of a tensor at their values."""

import torch

# Instead of 0, so that Adam's second moment of held elements is a normal number: the square root of torch on CPUs
# (MKL's) is 25 times slower on zeros and denormals, 24 ms of a step of 500. It is far too small to change the norm of
# the gradients, and what a step makes of it is put back.
TRACE = 1e-10


class HeldElements:
    """Elements of one parameter, in all tensors that hold its value.

    Args:
        where: bool tensor, True = held.
        tensors: the tensors of that shape whose present values are held.
    """

    def __init__(self, where, tensors):
        self._where = where
        self._values = [tensor.clone() for tensor in tensors]

    def restore(self, tensors):
        """Give the held elements their values back, to the bit."""
        for tensor, values in zip(tensors, self._values, strict=True):
            torch.where(self._where, values, tensor, out=tensor)

    def clear(self, gradient):
        """Give the held elements no gradient but :data:`TRACE`."""
        gradient.masked_fill_(self._where, TRACE)
