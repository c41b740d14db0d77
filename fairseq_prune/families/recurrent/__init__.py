"""Recurrent language and translation models, fairseq's and ours: hidden units are cut, and may change places."""

from ..family import FAMILIES, Family
from . import sizes  # noqa: F401
from .costs import COSTS
from .units import hidden_units, known_options, known_units

FAMILIES.add("recurrent")(Family(hidden_units, known_units, COSTS, known_options))
