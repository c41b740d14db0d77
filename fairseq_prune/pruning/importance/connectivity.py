"""Worth by the loss's derivative by a unit's connectivity c, which multiplies the unit.

The evidence is gathered over batches, see :data:`~.base.EVIDENCE`: of every vector, one element a unit.
"""

import torch
from torch import Tensor

from ..units.base import Units
from .base import EVIDENCE, IMPORTANCES, ONLY_FOR, SIGNED


@IMPORTANCES.add("connectivity")
def connectivity(evidence: Tensor, units: Units, generator: torch.Generator | None = None) -> Tensor:
    """To first order, how much the loss grows when c goes from 1 to 0; SRP's score.

    Args:
        evidence: derivatives of the loss by c, summed over batches.
        units: the :class:`~fairseq_prune.pruning.units.Units` that are removed together.
        generator: not used.

    Returns:
        float32 [units].
    """
    return -units.pool(evidence.float())


@IMPORTANCES.add("connectivity_squared")
def connectivity_squared(evidence: Tensor, units: Units, generator: torch.Generator | None = None) -> Tensor:
    """The diagonal of the empirical Fisher information, to second order the same growth at a minimum.

    Near convergence the first-order term vanishes and leaves noise; squares of batches do not cancel.
    Source: Theis et al. 2018 (arXiv:1801.05787); Molchanov et al. 2019 (arXiv:1906.10771), eq. 8.
    Arguments as :func:`connectivity`; the evidence is the squares of the batches' derivatives, summed.
    """
    return units.pool(evidence.float())


EVIDENCE.update(connectivity="connectivity_gradient", connectivity_squared="connectivity_gradient_squared")
ONLY_FOR.update(connectivity="width", connectivity_squared="width")
SIGNED.add("connectivity")
