"""Worth by what the loss says of weights; evidence is gathered over batches, see :data:`~.base.EVIDENCE`."""

import torch
from torch import Tensor

from ..units.base import Units
from .base import EVIDENCE, IMPORTANCES


@IMPORTANCES.add("sensitivity")
def sensitivity(evidence: Tensor, units: Units, generator: torch.Generator | None = None) -> Tensor:
    """How much the loss changes, to first order, if a unit leaves: the absolute sum of its weights times gradients.

    Of single weights this is SNIP's score (Lee et al., ICLR 2019, arXiv:1810.02340); of nodes SNAP's (Verdenius et al.
    2020, arXiv:2006.00896), the derivative by a gate on the node's output where units are what reads it.

    Args:
        evidence: weights times gradients, any shape.
        units: the :class:`~fairseq_prune.pruning.units.Units` that leave together.
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
    """How much of the gradient's norm leaves with a unit: Wang et al., ICLR 2020 (arXiv:2002.07376), GraSP, eq. 8.

    Arguments as :func:`sensitivity`; the evidence is weights times the Hessian's product with the gradient.
    """
    return _sums(evidence, units)


def _sums(evidence, units):
    sizes = units.sizes(evidence.shape)
    means = units.pool(evidence.float())
    return means * (sizes.to(means) if torch.is_tensor(sizes) else sizes)


EVIDENCE.update(sensitivity="sensitivity", absolute_sensitivity="sensitivity", gradient_flow="hessian_gradient")
