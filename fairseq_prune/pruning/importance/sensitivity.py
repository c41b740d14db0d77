"""Importance from derivatives of the loss, gathered over batches as :data:`~.base.EVIDENCE` says."""

import torch
from torch import Tensor

from ..units.base import Units
from .base import EVIDENCE, IMPORTANCES, SIGNED


@IMPORTANCES.add("sensitivity")
def sensitivity(evidence: Tensor, units: Units, generator: torch.Generator | None = None) -> Tensor:
    """How much the loss changes, to first order, if a unit is removed: the absolute sum of its weights times gradients.

    Of single weights this is SNIP's score (Lee et al., ICLR 2019, arXiv:1810.02340); of nodes SNAP's (Verdenius et al.
    2020, arXiv:2006.00896), the derivative by a gate on the node's output where units are what reads it.

    Args:
        evidence: weights times gradients, any shape.
        units: the :class:`~fairseq_prune.pruning.units.Units` that are removed together.
        generator: not used.

    Returns:
        float32 [units].
    """
    return _sums(evidence, units).abs()


@IMPORTANCES.add("absolute_sensitivity")
def absolute_sensitivity(evidence: Tensor, units: Units, generator: torch.Generator | None = None) -> Tensor:
    """The sum of what the loss would change by each weight alone, so that large units' weights cancel nothing.

    Source: Kim et al. 2024 (arXiv:2402.02834), Shortened LLaMA, its Taylor score of a layer. Arguments as
    :func:`sensitivity`.
    """
    return _sums(evidence.abs(), units)


@IMPORTANCES.add("gradient_flow")
def gradient_flow(evidence: Tensor, units: Units, generator: torch.Generator | None = None) -> Tensor:
    """How much of the gradient's norm is lost with a unit: Wang et al., ICLR 2020 (arXiv:2002.07376), GraSP, eq. 8.

    Arguments as :func:`sensitivity`; the evidence is weights times the Hessian's product with the gradient.
    """
    return _sums(evidence, units)


@IMPORTANCES.add("taylor")
def taylor(evidence: Tensor, units: Units, generator: torch.Generator | None = None) -> Tensor:
    """How far removing a unit moves the loss of a batch, to first order: squared, so that batches do not cancel.

    The squared derivative by a gate on the unit: Molchanov et al., CVPR 2019 (arXiv:1906.10771), eq. 8 with gates, and
    Theis et al. 2018 (arXiv:1801.05787), eq. 8.
    Arguments as :func:`sensitivity`; the evidence is that square, of each unit, at each of its weights.
    """
    return units.pool(evidence.float())


@IMPORTANCES.add("fisher")
def fisher(evidence: Tensor, units: Units, generator: torch.Generator | None = None) -> Tensor:
    """How much the loss grows, to second order, if a unit is removed: half the sum of w^2 times the Fisher information.

    The information is the empirical one of batches, and its diagonal: Theis et al. 2018 (arXiv:1801.05787), eq. 7; as
    Liu et al., ICML 2021 (arXiv:2108.00708), without what couples weights.
    Arguments as :func:`sensitivity`; the evidence is the square of weights times gradients, summed over batches.
    """
    return _sums(evidence, units) / 2


def _sums(evidence, units):
    sizes = units.sizes(evidence.shape)
    means = units.pool(evidence.float())
    return means * (sizes.to(means) if torch.is_tensor(sizes) else sizes)


EVIDENCE.update(
    sensitivity="sensitivity",
    absolute_sensitivity="sensitivity",
    taylor="squares_of_units",
    fisher="squares",
    gradient_flow="hessian_gradient",
)
SIGNED.add("gradient_flow")
