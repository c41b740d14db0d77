"""What leaves together. A unit kind partitions a tensor; every element is in exactly one unit.

To add one: a module here with a class that has the four methods of
:class:`~fairseq_prune.pruning.units.base.Units`, registered in :data:`UNITS`, and an import below.
"""

from .base import UNITS, Units, parse_units
from .block import Block
from .coupled import is_coupled
from .slice import Column, Row
from .weight import Weight

__all__ = ["UNITS", "Block", "Column", "Row", "Units", "Weight", "is_coupled", "parse_units"]
