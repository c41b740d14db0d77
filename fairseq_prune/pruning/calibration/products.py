"""Intercepting every multiplication with a parameter, in any module or function of torch."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from .inputs import unfolded

aten = torch.ops.aten


@dataclass(frozen=True)
class Product:
    """A multiplication that is about to happen.

    Args:
        name: of the parameter.
        columns: of it, those that take part.
        rows: function -> what they are multiplied with, float [groups, rows, columns].
        key: equal for two products with the same rows, as long as the first is kept.
    """

    name: str
    columns: slice
    rows: Callable[[], Tensor]
    key: tuple


class Multiplications(TorchDispatchMode):
    """A context in which a function is told of every product with a parameter, before it is computed.

    It works below modules and functions, on what torch computes: attention whose projections are arguments of a
    function, recurrent layers that are one call, and weights used in parts are seen as linear layers are. A table
    that is looked up is not multiplied.

    Args:
        weights: dict of name -> parameter, [outputs, inputs, taps...] as torch stores linear and convolutional ones.
        tell: called with each :class:`Product`; what it does to the weight, the product sees.
    """

    def __init__(self, weights: Mapping[str, Tensor], tell: Callable[[Product], None]):
        super().__init__()
        self._tell = tell
        self._places = sorted((w.data_ptr(), name, w) for name, w in weights.items() if w.numel())
        self._starts = [start for start, *_ in self._places]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        find = _FINDERS.get(func)
        if find is not None and (product := find(self, *args, **(kwargs or {}))):
            self._tell(product)
        return func(*args, **(kwargs or {}))

    def owner(self, tensor: Tensor) -> tuple[str, Tensor, int] | None:
        """(name, parameter, offset in elements) of what a tensor is a view of; None: of no parameter."""
        place = tensor.data_ptr()
        at = bisect.bisect_right(self._starts, place) - 1
        if at < 0:
            return None
        start, name, weight = self._places[at]
        offset = (place - start) // weight.element_size()
        return (name, weight, offset) if offset < weight.numel() and tensor.dtype == weight.dtype else None


def _matrix_product(seen: Multiplications, rows: Tensor, matrix: Tensor) -> Product | None:
    """The product ``rows @ matrix``, if the matrix is a weight transposed, or columns of one; else None."""
    found = seen.owner(matrix)
    if not found:
        return None
    name, weight, offset = found
    if weight.dim() != 2 or matrix.stride(0) != weight.stride(1) or matrix.stride(1) != weight.stride(0):
        return None
    first = offset % weight.stride(0)
    if first + matrix.shape[0] > weight.shape[1]:  # of one column, whose strides are the same either way round
        return None
    rows = rows.reshape(-1, rows.shape[-1])
    key = rows.data_ptr(), rows._version, rows.shape, rows.stride(), first, weight.shape[1]
    return Product(name, slice(first, first + matrix.shape[0]), lambda: rows.unsqueeze(0), key)


def _addmm(seen, bias, rows, matrix, **scales):
    return _matrix_product(seen, rows, matrix)


def _linear(seen, rows, weight, bias=None):
    return _matrix_product(seen, rows, weight.t())


def _convolution(seen, images, weight, bias, *how):
    found = seen.owner(weight)
    stride, padding, dilation, transposed, _, groups = how
    if not found or transposed or images.dim() > 4 or weight.shape != found[1].shape:
        return None
    kernel = weight.shape[2:]
    key = images.data_ptr(), images._version, images.shape, kernel, *stride, *padding, *dilation, groups
    rows = lambda: unfolded(images, kernel, (padding, stride, dilation), groups)  # noqa: E731
    return Product(found[0], slice(None), rows, key)


_FINDERS: dict[Any, Callable[..., Product | None]] = {
    aten.mm.default: _matrix_product,
    aten.addmm.default: _addmm,
    aten.linear.default: _linear,
    aten.convolution.default: _convolution,
}
