"""From a fraction of a group to a count of units."""

import math
from collections.abc import Callable
from fractions import Fraction

from ..registry import Registry

ROUNDINGS: Registry[Callable[[float, int], int]] = Registry("rounding")


@ROUNDINGS.add("nearest")
def nearest(fraction: float, size: int) -> int:
    """``round(fraction * size)``.

    Args:
        fraction: to remove, in [0, 1).
        size: of the group (count).
    """
    return round(fraction * size)


@ROUNDINGS.add("up")
def up(fraction: float, size: int) -> int:
    """At least the fraction, but one always stays.

    Source: GReg. There the product is a float, so that 0.14 of 100 becomes 15; here the fraction is the decimal
    number that was written. Arguments as :func:`nearest`.

    Example:
        >>> up(0.14, 100), up(0.32, 64), up(0.95, 16)
        (14, 21, 15)
    """
    return min(math.ceil(Fraction(repr(fraction)) * size), size - 1) if fraction else 0


@ROUNDINGS.add("reference")
def reference(fraction: float, size: int) -> int:
    """One unit fewer stays than asked, as by a strict comparison with the last score that is to be kept.

    Source: the original code of the filter, stripe, pattern and irregular methods, for comparison with its numbers.
    Arguments as :func:`nearest`.

    Example:
        >>> [reference(fraction, 64) for fraction in (0.0, 0.2, 0.3)]
        [1, 14, 21]
    """
    return min(size - int(size * (1 - fraction)) + 1, size)


EVERYTHING = 1 - 1e-9  # from here on a fraction is all of a group, which no target may ask for but SiPO's recipes can


def highest(fraction: float, size: int, stay: int = 1) -> float | None:
    """The highest fraction of some units that can be removed; None where as many can as are asked for.

    Args:
        fraction: asked for; from :data:`EVERYTHING` on, all can.
        size: of the group (count).
        stay: units of it that cannot be removed (count).

    Example:
        >>> highest(0.99, 16), highest(0.95, 16)
        (0.9375, None)
    """
    return (size - stay) / size if fraction < EVERYTHING and nearest(fraction, size) > size - stay else None
