"""How much is removed: from the user's target to a count of weights for every group."""

from .cost import CostLeft
from .deviation import Deviation
from .erdos_renyi import ErdosRenyi
from .given import parse_target, targets_for
from .outliers import Outliers
from .threshold import Threshold

__all__ = ["CostLeft", "Deviation", "ErdosRenyi", "Outliers", "Threshold", "parse_target", "targets_for"]
