"""Holding elements of a tensor at their values."""

import torch


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
        """Zero the gradient of the held elements."""
        gradient.masked_fill_(self._where, 0)
