"""Selecting the units to remove: from fractions of groups to masks."""

from collections.abc import Callable

from ..units import NM, Layer, Pattern, WeightAndNode, Width
from ..units.base import Units
from ..units.coupled import CoupledUnits
from ..units.support import Support
from .coupled import CoupledSelector
from .joint import JointSelector
from .layers import LayerSelector
from .outputs import OutputSelector
from .selection import Inherited, Selection, count_removed
from .selector import SelectionPlan, Selector, overlap
from .supports import NMSelector, PatternSelector
from .tensors import TensorSelector
from .widths import WidthSelector

_BY_SCOPE = {"output": OutputSelector}
_BY_UNITS: dict[type, Callable[..., TensorSelector]] = {NM: NMSelector, Pattern: PatternSelector}
_COUPLED: dict[type, Callable[..., CoupledSelector]] = {
    WeightAndNode: JointSelector,
    Width: WidthSelector,
    Layer: LayerSelector,
}


def coupled_selector_of(units: CoupledUnits) -> Callable[..., CoupledSelector]:
    """The class that selects coupled units."""
    return _COUPLED.get(type(units), CoupledSelector)


def selector_of(units: Units | Support, scope: str) -> Callable[..., TensorSelector]:
    """The class that selects units of which each tensor has its own."""
    return _BY_UNITS.get(type(units), _BY_SCOPE.get(scope, TensorSelector))


__all__ = [
    "Selection",
    "Selector",
    "CoupledSelector",
    "Inherited",
    "SelectionPlan",
    "selector_of",
    "count_removed",
    "coupled_selector_of",
    "overlap",
]
