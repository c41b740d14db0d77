"""Choosing what leaves: from fractions of groups to masks."""

from .choice import Choice, count_removed
from .coupled import CoupledChooser
from .tensors import TensorChooser

__all__ = ["Choice", "CoupledChooser", "TensorChooser", "count_removed"]
