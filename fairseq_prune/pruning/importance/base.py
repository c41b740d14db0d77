"""The table of importances."""

from ..registry import Registry

IMPORTANCES = Registry("importance")
