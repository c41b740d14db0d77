"""What a pruned model is measured by."""

from collections.abc import Mapping

import torch
from torch import Tensor

from .surgery.structure import AXES, Structure, unit_rows


def harmonic_mean(removed: float, accuracy: float) -> float:
    """One number for both, high only where both are.

    Args:
        removed: fraction removed, in [0, 1].
        accuracy: in [0, 1].

    Returns:
        In [0, 1]; 0 where either is 0. Source: Verdenius et al. 2020 (arXiv:2006.00896), their code.
    """
    return 2 * removed * accuracy / (removed + accuracy) if removed and accuracy else 0.0


def living_units(structure: Structure, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Find the units that do something: a weight that is not zero writes them, and one reads them.

    Args:
        structure: :class:`~.surgery.structure.Structure`.
        weights: dict of parameter name -> tensor.

    Returns:
        dict of vector name -> bool tensor [length]. Biases and norms of a unit are not asked: a unit that nothing
        writes is a constant. One whose multiplier (connectivity) is 0 does nothing.
    """

    def touched(vector):
        sides = [side for side in AXES if structure.slices(vector, side)]  # no weight reads a query
        rows = [unit_rows(structure, vector, side, lambda name: weights[name] != 0).any(1) for side in sides]
        multiplied = [structure.connectivity[vector].vector != 0] if vector in structure.connectivity else []
        return torch.stack([*rows, *multiplied]).all(0)

    return {vector: touched(vector) for vector in structure.vectors}
