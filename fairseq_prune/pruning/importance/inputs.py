"""Importance from a weight's inputs, computed by :mod:`~fairseq_prune.pruning.calibration.scores`."""

import torch
from torch import Tensor

from ..calibration.scores import INPUT_SCORES
from ..units.base import Units
from .base import EVIDENCE, IMPORTANCES


@IMPORTANCES.add(*INPUT_SCORES)
def by_inputs(evidence: Tensor, units: Units, generator: torch.Generator | None = None) -> Tensor:
    """Mean score of each unit's weights.

    Args:
        evidence: score of every weight.
        units: the :class:`~fairseq_prune.pruning.units.Units` that are removed together.
        generator: not used.

    Returns:
        float32 [units].
    """
    return units.pool(evidence.float())


EVIDENCE.update({name: "input_products" if scoring.paired else "inputs" for name, scoring in INPUT_SCORES.items()})
