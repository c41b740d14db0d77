"""Choosing what leaves: from fractions of groups to masks."""

from ..units import NM, Pattern, WeightAndNode
from .coupled import CoupledChooser
from .joint import JointChooser
from .selection import Choice, Inherited, count_removed, overlap
from .supports import NMChooser, PatternChooser
from .tensors import TensorChooser

_OWN = {NM: NMChooser, Pattern: PatternChooser}


def coupled_chooser_of(units):
    """The class that chooses coupled units."""
    return JointChooser if isinstance(units, WeightAndNode) else CoupledChooser


def chooser_of(units):
    """The class that chooses units of which each tensor has its own."""
    return _OWN.get(type(units), TensorChooser)


__all__ = ["Choice", "CoupledChooser", "Inherited", "chooser_of", "count_removed", "coupled_chooser_of", "overlap"]
