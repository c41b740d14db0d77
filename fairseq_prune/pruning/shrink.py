"""How the multiplier of a selected unit goes from 1 to 0: a function of time alone.

Source: SRP's ``--decreasing``. Differences: it ends at exactly 0, where the original divides by the
number of updates less one and ends beside it.
"""

from collections.abc import Callable
from dataclasses import dataclass

from .registry import Registry

SHRINKINGS: Registry["Shrinking"] = Registry("shrinking")
_LAST = 1e-5  # what the geometric form has come down to when it jumps to 0


@dataclass(frozen=True)
class Shrinking:
    """A way to shrink.

    Args:
        counts: what its time counts, ``"up"`` (updates) or ``"ep"`` (epochs).
        form: the value from the fraction of the window that is over, both in [0, 1].

    Example:
        >>> [SHRINKINGS["sa"].value(t, 4) for t in range(5)]
        [1.0, 0.75, 0.5, 0.25, 0.0]
    """

    counts: str
    form: Callable[[float], float]

    def value(self, t: int, total: int) -> float:
        """The multiplier during update or epoch ``t`` of a window, 1-based.

        Args:
            t: count of updates or epochs; 0 = before the window; from ``total`` on the value is 0.
            total: length of the window in the same unit, >= 1.

        Returns:
            float in [0, 1].
        """
        return float(self.form(t / total)) if t < total else 0.0


def arithmetic(progress: float) -> float:
    """Equal differences: :math:`1 - p`."""
    return 1 - progress


def geometric(progress: float) -> float:
    """Equal ratios: :math:`10^{-5p}`."""
    return _LAST**progress


SHRINKINGS.add("sa")(Shrinking("up", arithmetic))
SHRINKINGS.add("sg")(Shrinking("up", geometric))
SHRINKINGS.add("ea")(Shrinking("ep", arithmetic))
SHRINKINGS.add("eg")(Shrinking("ep", geometric))
