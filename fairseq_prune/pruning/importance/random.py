"""The control that every importance has to beat."""

import torch
from torch import Tensor

from ..units.base import Units
from .base import IMPORTANCES


@IMPORTANCES.add("random")
def random(weight: Tensor, units: Units, generator: torch.Generator) -> Tensor:
    """Independent uniform scores, the same on every device.

    Args:
        weight: parameter; only its shape and device matter.
        units: the units that are removed together.
        generator: a CPU ``torch.Generator``.

    Returns:
        float32 [units], in [0, 1).
    """
    count = units.pool(torch.zeros_like(weight, dtype=torch.float32)).numel()
    return torch.rand(count, generator=generator).to(weight.device)
