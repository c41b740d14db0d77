"""Importance scores of units; the lowest are removed.

An importance is a function ``(weight, units, generator) -> float32 scores [units]``. To add one:
a module here with the function, registered in :data:`IMPORTANCES`, and an import below.
"""

from . import connectivity, inputs, layer, magnitude, random, sensitivity  # noqa: F401  (they register)
from .base import EVIDENCE, IMPORTANCES, ONLY_FOR, SIGNED

__all__ = ["EVIDENCE", "IMPORTANCES", "ONLY_FOR", "SIGNED"]
