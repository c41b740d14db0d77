"""The inputs of a weight, summed over calibration batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional as F

from .reconstruct import inverse_factor


@dataclass
class Inputs:
    """Sums over the rows that one weight was multiplied with, in float32 at least, whatever their dtype.

    Columns are the inputs of a linear layer; of a convolution taps and inputs, inputs running fastest, in which order
    :func:`as_matrix` has its weight. Grouped convolutions have a set of columns for each group.

    Args:
        products: of all pairs of columns, [groups, columns, columns]; None: only :attr:`squares` are wanted.
        squares: of each column, [groups, columns]; the diagonal of the products where there are such.
        rows: how many (count).
    """

    products: Tensor | None
    squares: Tensor
    rows: float = 0.0

    @cached_property
    def factor(self) -> Tensor:
        """The factor of the inverse of the products (:func:`~.reconstruct.inverse_factor`), once all rows are added.

        Weights with the same inputs, as of queries, keys and values, share it.
        """
        return inverse_factor(torch.diag_embed(self.squares) if self.products is None else self.products)

    @classmethod
    def none(cls, like: Tensor, groups: int, columns: int, paired: bool) -> Inputs:
        """Sums over no rows, to which rows can be added.

        Args:
            like: the weight, which says device and precision.
            groups, columns: sizes (counts).
            paired: products of pairs, too.
        """
        shape, dtype = (groups, columns), torch.promote_types(torch.float32, like.dtype)
        if paired:
            return cls._of_pairs(like.new_zeros((*shape, columns), dtype=dtype))
        return cls(None, like.new_zeros(shape, dtype=dtype))

    @classmethod
    def _of_pairs(cls, products: Tensor, rows: float = 0.0) -> Inputs:
        return cls(products, products.diagonal(dim1=1, dim2=2), rows)

    @classmethod
    def equal(cls, matrix: Tensor) -> Inputs:
        """As if all columns of a matrix [outputs, columns] met inputs of one size, unrelated to each other."""
        width = matrix.shape[1]
        ones = matrix.new_ones((1, width), dtype=torch.promote_types(torch.float32, matrix.dtype))
        return cls(None, ones, 1.0)

    def add(self, rows: Tensor, at: slice = slice(None)) -> None:
        """Add rows, float [groups, rows, columns], that met some of the weight's columns."""
        rows = rows.to(self.squares.dtype)
        if self.products is None:
            self.squares[:, at] += rows.square().sum(1)
        else:
            self.products[:, at, at].baddbmm_(rows.transpose(1, 2), rows)
        self.rows += rows.shape[1]

    def reduced(self, average: Callable[[Tensor], Tensor]) -> Inputs:
        """The sums over all ranks, by a function that averages a tensor over them."""
        rows = float(average(self.squares.new_tensor(self.rows)))
        if self.products is not None:
            return self._of_pairs(average(self.products), rows)
        return Inputs(None, average(self.squares), rows)

    @property
    def norms(self) -> Tensor:
        """L2 norm of each column, per row, [groups, columns]."""
        return (self.squares / max(self.rows, 1.0)).sqrt()


def as_matrix(weight: Tensor) -> Tensor:
    """A weight [outputs, inputs, taps...] as [outputs, taps x inputs], a vector as one row; see :class:`Inputs`."""
    if weight.dim() <= 2:
        return torch.atleast_2d(weight)
    return weight.flatten(2).transpose(1, 2).flatten(1)


def as_weight(matrix: Tensor, shape: torch.Size) -> Tensor:
    """Undo :func:`as_matrix`."""
    if len(shape) <= 2:
        return matrix.view(shape)
    return matrix.view(shape[0], -1, shape[1]).transpose(1, 2).reshape(shape)


def unfolded(images: Tensor, kernel: Sequence[int], how: Sequence[Sequence[int]], groups: int) -> Tensor:
    """The patches that a convolution multiplies, [groups, rows, taps x inputs].

    Args:
        images: float [batch, channels, length] or [batch, channels, height, width].
        kernel: its size by axis.
        how: padding, stride and dilation, each by axis.
        groups: of channels (count).
    """
    if len(kernel) == 1:  # as images of height 1
        images, kernel = images.unsqueeze(2), (1, *kernel)
        how = [(of_one, *along) for of_one, along in zip((0, 1, 1), how, strict=True)]
    padding, stride, dilation = map(tuple, how)
    patches = F.unfold(images, tuple(kernel), dilation, padding, stride)  # [batch, channels x taps, places]
    batch, _, places = patches.shape
    patches = patches.view(batch, groups, images.shape[1] // groups, -1, places)
    return patches.permute(1, 0, 4, 3, 2).reshape(groups, batch * places, -1)
