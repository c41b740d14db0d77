"""The table of importances, and further properties that their files declare."""

from typing import Callable

import torch

from ..registry import Registry
from ..units import Units

Importance = Callable[[torch.Tensor, Units, torch.Generator], torch.Tensor]  # weight, units, noise -> [units]

IMPORTANCES: Registry[Importance] = Registry("importance")
EVIDENCE: dict[str, str] = {}  # importance that scores something else than weights -> kind of evidence it scores
ONLY_FOR: dict[str, str] = {}  # importance of one kind of units -> that kind, a name in the table of units
SIGNED: set[str] = set()  # importances whose scores may be below 0, which patterns of kernels cannot compare
