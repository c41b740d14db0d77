"""What is removed together. Most kinds of units partition a tensor: every element is in exactly one unit.

Supports (N:M, patterns) are rules for small groups of weights instead; coupled units own parts of several tensors.

To add a partition: a module here with a class that has the four methods of
:class:`~fairseq_prune.pruning.units.base.Units`, registered in :data:`UNITS`, and an import below.
"""

from .base import UNITS, UnitKind, Units, parse_units
from .block import Block
from .coupled import CoupledUnits, Layer, WeightAndNode, Width, is_coupled
from .pattern import Pattern
from .slice import Column, Row
from .support import NM, NofM, Support
from .taps import Kernel, Stripe
from .weight import Weight

__all__ = [
    "NM",
    "UNITS",
    "Block",
    "Column",
    "CoupledUnits",
    "Kernel",
    "Layer",
    "NofM",
    "Pattern",
    "Row",
    "Stripe",
    "Support",
    "UnitKind",
    "Units",
    "Weight",
    "WeightAndNode",
    "Width",
    "is_coupled",
    "parse_units",
]
