"""The interface of unit kinds and how they are named on the command line."""

from abc import ABC, abstractmethod
from typing import ClassVar, Protocol, Self

import torch
from torch import Tensor

from ..registry import Registry


class UnitKind(Protocol):
    """Any answer to what is removed together.

    Attributes:
        scope: the only one that such units know; None: several.
    """

    scope: ClassVar[str | None]

    @classmethod
    def parse(cls, argument: str) -> Self:
        """Build from what follows the colon in ``name:argument``.

        Raises:
            ValueError: the kind takes no argument, or cannot read it.
        """


UNITS: Registry[type[UnitKind]] = Registry("units")


class Units(ABC):
    """A partition of a tensor's elements into units that are kept or removed whole.

    Shapes are [outputs, inputs, taps...], whatever the order in which the layer stores them.
    """

    scope: ClassVar[str | None] = None

    @classmethod
    def parse(cls, argument: str) -> Self:
        """As :meth:`UnitKind.parse`."""
        if argument:
            raise ValueError(f"units {cls.__name__.lower()!r} take no argument, got {argument!r}")
        return cls()

    @abstractmethod
    def check(self, shape: torch.Size) -> None:
        """Raise ValueError if tensors of this shape have no such units."""

    @abstractmethod
    def sizes(self, shape: torch.Size) -> int | Tensor:
        """Weights in each unit: an int when all units are equal, else int64 [units]."""

    @abstractmethod
    def pool(self, values: Tensor) -> Tensor:
        """Mean of ``values`` (any shape, float) over each unit: [units]."""

    @abstractmethod
    def spread(self, values: Tensor, shape: torch.Size) -> Tensor:
        """Give every weight what its unit has: from [units] of any dtype to ``shape``."""


def parse_units(text: str) -> UnitKind:
    """Read ``row`` or ``block:4x4``.

    Returns:
        A :class:`Units`, coupled units or a :class:`~.support.Support`.

    Raises:
        ValueError: unknown kind or argument.
    """
    name, _, argument = (text, "", "") if text in UNITS else text.partition(":")
    return UNITS[name].parse(argument)
