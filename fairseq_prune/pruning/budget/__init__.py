"""How much leaves: from the user's target to a count of weights for every group."""

from .given import parse_target, targets_for

__all__ = ["parse_target", "targets_for"]
