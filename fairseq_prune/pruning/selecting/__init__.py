"""Choosing what leaves: from fractions of groups to masks."""

from collections.abc import Callable

from ..units import NM, Pattern, WeightAndNode, Width
from ..units.base import Units
from ..units.coupled import CoupledUnits
from ..units.support import Support
from .chooser import Chooser, SelectionPlan, overlap
from .coupled import CoupledChooser
from .joint import JointChooser
from .selection import Choice, Inherited, count_removed
from .supports import NMChooser, PatternChooser
from .tensors import TensorChooser
from .widths import WidthChooser

_OWN: dict[type, Callable[..., TensorChooser]] = {NM: NMChooser, Pattern: PatternChooser}
_COUPLED: dict[type, Callable[..., CoupledChooser]] = {WeightAndNode: JointChooser, Width: WidthChooser}


def coupled_chooser_of(units: CoupledUnits) -> Callable[..., CoupledChooser]:
    """The class that chooses coupled units."""
    return _COUPLED.get(type(units), CoupledChooser)


def chooser_of(units: Units | Support) -> Callable[..., TensorChooser]:
    """The class that chooses units of which each tensor has its own."""
    return _OWN.get(type(units), TensorChooser)


__all__ = [
    "Choice",
    "Chooser",
    "CoupledChooser",
    "Inherited",
    "SelectionPlan",
    "chooser_of",
    "count_removed",
    "coupled_chooser_of",
    "overlap",
]
