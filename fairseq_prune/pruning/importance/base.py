"""The table of importances."""

from ..registry import Registry

IMPORTANCES = Registry("importance")
EVIDENCE = {}  # of an importance that scores something else than weights: the kind of it
