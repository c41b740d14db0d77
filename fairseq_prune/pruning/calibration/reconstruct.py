"""Pruning a layer column by column, with later columns compensating for what is removed: SparseGPT."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

STEP = 128  # columns that are selected from at once
BLOCK = 16  # columns after which changes reach the others: a cache line of each row
DAMPING = 0.01  # of the mean diagonal

SelectColumns = Callable[[Tensor, slice], Tensor]  # scores [rows, columns], which columns -> bool, True = keep


def reconstruct(
    weight: Tensor, factor: Tensor, select: SelectColumns, step: int | None = None, block: int = BLOCK
) -> tuple[Tensor, Tensor]:
    """Remove weights of a linear layer and change those to the right so that the outputs stay nearest.

    Source: Frantar & Alistarh, ICML 2023 (arXiv:2301.00774), algorithm 1. Differences: selections are exact counts;
    weights of inputs that were never seen keep their values if they stay.

    Args:
        weight: [groups, rows, columns], float32 or wider.
        factor: of the inverse of X^T X, X being the inputs, as :func:`inverse_factor`, [groups, columns, columns].
        select: function of (scores [groups x rows, some columns], which columns) -> bool of their shape, True = keep.
        step: columns that are selected from at once; None: :data:`STEP`.
        block: columns after which the changes reach the others, all at once; rounded to divide ``step``, or to be a
            multiple of it. The result does not depend on it.

    Returns:
        (bool, True = keep; new weight), both shaped like ``weight``. Zero where nothing is kept.
    """
    width, step = weight.shape[2], step or STEP
    block = block // step * step or (step if step % block else block)
    left, keep = weight.clone(), torch.ones_like(weight, dtype=torch.bool)
    for start in range(0, width, block):
        here = slice(start, min(start + block, width))
        errors = torch.zeros_like(left[:, :, here])
        for column in range(here.start, here.stop):
            if column % step == 0:
                those = slice(column, min(column + step, width))
                scales = factor.diagonal(dim1=1, dim2=2)[:, None, those]
                scores = (left[:, :, those] / scales).square()
                keep[:, :, those] = select(scores.flatten(0, 1), those).view(scores.shape)
            error = left[:, :, column] * ~keep[:, :, column] / factor[:, None, column, column]
            errors[:, :, column - start] = error
            ahead = slice(column + 1, here.stop)
            left[:, :, ahead] -= error.unsqueeze(2) * factor[:, None, column, ahead]
        left[:, :, here.stop :].baddbmm_(errors, factor[:, here, here.stop :], alpha=-1)
    return keep, left * keep


def inverse_factor(products: Tensor) -> Tensor:
    """U with U^T U = (X^T X + damping)^-1, upper triangular; damping is raised until that can be computed.

    Inputs that were never seen have the damping alone, whatever the size of the others: their weights score lowest.

    Args:
        products: X^T X, float [groups, columns, columns].

    Returns:
        The same shape.

    Raises:
        ValueError: a product is no finite number.
    """
    if not products.isfinite().all():
        raise ValueError("inputs of a layer are not finite; did the loss diverge?")
    diagonal = products.diagonal(dim1=1, dim2=2)
    damping = DAMPING * diagonal.mean(1, keepdim=True)
    damping = torch.where(damping > 0, damping, 1.0)
    while True:
        damped = products + torch.diag_embed(damping.expand_as(diagonal))
        lower, failed = torch.linalg.cholesky_ex(damped)
        upper, failed_too = torch.linalg.cholesky_ex(torch.cholesky_inverse(lower), upper=True)
        if not (failed.any() or failed_too.any()):
            return upper
        damping = 10 * damping
