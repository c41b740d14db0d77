"""Fractions for each layer at which the loss grows equally, from its growth when each layer is pruned alone."""

import math
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

_HALVINGS = 100  # beyond the precision of a float


@dataclass(frozen=True)
class Curve:
    """How the loss grows with what is removed of one layer, in straight lines from point to point.

    Where it falls it counts as level: a layer does not pay back. Points that are no numbers end it.

    Args:
        start: fraction that is removed already, without loss, in [0, 1).
        points: pairs of (fraction removed, growth of the loss), by rising fractions above the start.
    """

    start: float
    points: Sequence[tuple[float, float]]

    def _levels(self):
        level, fractions, levels = 0.0, [self.start], [0.0]
        for fraction, growth in self.points:
            if not math.isfinite(growth):
                break
            if fraction > fractions[-1]:
                level = max(level, growth)
                fractions.append(fraction)
                levels.append(level)
        return fractions, levels

    @property
    def highest(self) -> tuple[float, float]:
        """The last point: (fraction, growth)."""
        fractions, levels = self._levels()
        return fractions[-1], levels[-1]

    def most(self, growth: float) -> float:
        """The highest fraction at which the loss grows by no more than that; below 0: the start.

        Example:
            >>> curve = Curve(0.0, [(0.5, 1.0), (0.9, 5.0)])
            >>> curve.most(0.5), curve.most(3.0), curve.most(9.0)
            (0.25, 0.7, 0.9)
        """
        fractions, levels = self._levels()
        after = bisect_right(levels, growth)
        if not 0 < after < len(levels):
            return fractions[-1] if after else self.start
        (x, next_x), (y, next_y) = fractions[after - 1 : after + 1], levels[after - 1 : after + 1]
        return x + (next_x - x) * (growth - y) / (next_y - y)


def equal_loss(
    curves: Mapping[str, Curve], total: float, sizes: Mapping[str, int], budget: Callable[[str, float], int]
) -> dict[str, float]:
    """Fractions that come to a total, at which every layer makes the loss grow alike, as far as its curve goes.

    What one layer does to the others is not in it: growths are taken to add up.

    Args:
        curves: dict of layer -> :class:`Curve`.
        total: fraction of all layers together that is removed at most, in [0, 1).
        sizes: dict of layer -> its size, in what budgets count.
        budget: function of a layer and a fraction of it -> what is removed (count).

    Returns:
        dict of layer -> fraction. The budgets add up to ``total`` times all, less what no layer's next unit fits into.

    Raises:
        ValueError: the curves do not go that far, or more is removed already.
    """
    allowed, whole = math.floor(total * sum(sizes.values()) + 1e-9), sum(sizes.values())

    def count(fractions):
        return sum(budget(name, fraction) for name, fraction in fractions.items())

    starts = {name: curve.most(-1.0) for name, curve in curves.items()}
    ends = {name: curve.highest[0] for name, curve in curves.items()}
    if not count(starts) <= allowed <= count(ends):
        least, most = math.ceil(count(starts) / whole * 1e4) / 1e4, math.floor(count(ends) / whole * 1e4) / 1e4
        raise ValueError(f"--total {total}: what was tried reaches from {least} to {most}; give e.g. --total {most}")
    top = max(curve.highest[1] for curve in curves.values())
    low, high = _between(
        -1.0, 2 * top + 1, lambda growth: {n: c.most(growth) for n, c in curves.items()}, count, allowed
    )
    fitting, beyond = _between(0.0, 1.0, lambda s: {n: low[n] + s * (high[n] - low[n]) for n in low}, count, allowed)
    left = allowed - count(fitting)
    for name in fitting:
        more = budget(name, beyond[name]) - budget(name, fitting[name])
        if 0 < more <= left:
            fitting[name], left = beyond[name], left - more
    return fitting


def _between(low, high, at, count, allowed):
    """The fractions of the last number that fits and of the first that does not, as far as floats tell them apart."""
    if count(at(high)) <= allowed:
        return at(high), at(high)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if count(at(middle)) <= allowed else (low, middle)
    return at(low), at(high)


def shortest(fraction: float, budget: Callable[[float], int]) -> float:
    """The fraction of the fewest decimals with the same budget.

    Example:
        >>> shortest(2 / 3, lambda fraction: round(16 * fraction))
        0.7
    """
    wanted = budget(fraction)
    return next((f for digits in range(1, 17) if budget(f := round(fraction, digits)) == wanted), fraction)
