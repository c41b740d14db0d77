"""Worth by size: Han et al. 2015 (arXiv:1506.02626); for units, Li et al. 2017 (arXiv:1608.08710).

Units are compared by their mean, not their sum, so that long and short rows of different
tensors can stand in one ranking. Within one tensor, or for single weights, the order is the same.
"""

import torch
from torch import Tensor

from ..units.base import Units
from .base import IMPORTANCES, SIGNED


@IMPORTANCES.add("magnitude", "magnitude_l1")
def magnitude_l1(weight: Tensor, units: Units, generator: torch.Generator | None = None) -> Tensor:
    """Mean absolute weight of each unit.

    Args:
        weight: parameter, any shape and float dtype.
        units: the :class:`~fairseq_prune.pruning.units.Units` that are removed together.
        generator: not used.

    Returns:
        float32 [units].
    """
    return units.pool(weight.float().abs())


@IMPORTANCES.add("smallness")
def smallness(weight: Tensor, units: Units, generator: torch.Generator | None = None) -> Tensor:
    """The opposite order: what is largest is removed first, a control. Arguments as :func:`magnitude_l1`."""
    return -magnitude_l1(weight, units)


@IMPORTANCES.add("magnitude_l2")
def magnitude_l2(weight: Tensor, units: Units, generator: torch.Generator | None = None) -> Tensor:
    """Root of the mean squared weight of each unit; arguments as :func:`magnitude_l1`."""
    return units.pool(weight.float().square()).sqrt()


@IMPORTANCES.add("largest")
def largest(weight: Tensor, units: Units, generator: torch.Generator | None = None) -> Tensor:
    """Largest absolute weight of each unit: 0.001 or less means that all are; arguments as :func:`magnitude_l1`."""
    sizes = weight.abs().float().flatten()
    count = units.pool(torch.zeros_like(weight, dtype=torch.float32)).numel()
    owner = units.spread(torch.arange(count, device=weight.device), weight.shape).flatten()
    return sizes.new_zeros(count).scatter_reduce(0, owner, sizes, "amax")


@IMPORTANCES.add("score")
def score(weight: Tensor, units: Units, generator: torch.Generator | None = None) -> Tensor:
    """Mean of what an approach scores instead of the weight, signed; arguments as :func:`magnitude_l1`."""
    return units.pool(weight.float())


SIGNED.update({"smallness", "score"})
