"""Holding elements of tensors at their values."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import Parameter

# Instead of 0, so that Adam's second moment of held elements is a normal number: the square root of torch on CPUs
# (MKL's) is 25 times slower on zeros and denormals, 24 ms of a step of 500. It is far too small to change the norm of
# the gradients, and what a step makes of it is put back.
TRACE = 1e-10


class HeldElements:
    """Elements of parameters, in all tensors that hold their values; those of one dtype in one launch.

    Interpolating by 0 and 1 gives either side to the bit, and is four times as fast as choosing by a bool tensor. It
    passes on an infinite or undefined neighbour: a step that overflowed is to be skipped before.

    Args:
        where: dict of parameter -> bool tensor, True = held.
        values_of: function of a parameter -> the tensors that hold its value, whose present elements are held.
    """

    def __init__(self, where: Mapping[Parameter, Tensor], values_of: Callable[[Parameter], Sequence[Tensor]]):
        pairs = [(p, value) for p in where for value in values_of(p)]
        dtypes = {value.dtype for _, value in pairs} | {p.dtype for p in where}
        self._held = {dtype: {p: held.to(dtype) for p, held in where.items()} for dtype in dtypes}
        self._traces = {p: self._held[p.dtype][p] * TRACE for p in where}
        self._values = [value.clone() for _, value in pairs]

    def restore(self, values_of: Callable[[Parameter], Sequence[Tensor]]) -> None:
        """Give the held elements their values back, to the bit."""
        self._pull(((p, value) for p in self._traces for value in values_of(p)), self._values)

    def clear(self) -> None:
        """Give the held elements no gradient but :data:`TRACE`."""
        found = {p: p.grad for p in self._traces if p.grad is not None}
        self._pull(found.items(), [self._traces[p] for p in found])

    def _pull(self, pairs: Iterable[tuple[Parameter, Tensor]], ends: Sequence[Tensor]) -> None:
        """Give the held elements of tensors, each of a parameter, the values of others."""
        alike: dict[torch.dtype, tuple[list, list, list]] = {}
        for (p, tensor), end in zip(pairs, ends, strict=True):
            of_dtype = alike.setdefault(tensor.dtype, ([], [], []))
            for column, entry in zip(of_dtype, (tensor, end, self._held[tensor.dtype][p]), strict=True):
                column.append(entry)
        for columns in alike.values():
            torch._foreach_lerp_(*columns)
