"""The table of importances."""

from typing import Callable

import torch

from ..registry import Registry
from ..units import Units

Importance = Callable[[torch.Tensor, Units, torch.Generator], torch.Tensor]  # weight, units, noise -> [units]

IMPORTANCES: Registry[Importance] = Registry("importance")
EVIDENCE: dict[str, str] = {}  # of an importance that scores something else than weights: the kind of it
