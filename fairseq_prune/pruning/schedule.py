"""When, and how much of the target by then."""

import math
import re
from dataclasses import dataclass
from typing import Optional

from .registry import Registry

SHAPES = Registry("schedule")
_UNITS = {"ep": "completed epochs", "up": "updates"}


@dataclass(frozen=True)
class When:
    """A point in training: ``4ep`` is after 4 completed epochs, ``500up`` after 500 updates.

    Args:
        count: how many, >= 0.
        unit: ``"ep"`` or ``"up"`` (optimizer updates, i.e. after gradient accumulation).
    """

    count: int
    unit: str

    @classmethod
    def parse(cls, text):
        """Read ``'4ep'`` or ``'500up'``.

        Raises:
            ValueError: anything else.
        """
        found = re.fullmatch(r"(\d+)(ep|up)", str(text).strip())
        if not found:
            raise ValueError(f"cannot read {text!r} as a time; write e.g. '4ep' or '500up'")
        return cls(int(found[1]), found[2])

    def __str__(self):
        return f"{self.count}{self.unit}"


@SHAPES.add("once")
def once(progress):
    """The whole target at once, whatever the progress in [0, 1]."""
    return 1.0


@SHAPES.add("growing")
def growing(progress):
    """The whole target, once a penalty has grown on what leaves; as :func:`once`."""
    return 1.0


_ONE_EVENT = ("once", "growing")


@SHAPES.add("linear")
def linear(progress):
    """Equal steps: ``progress`` in [0, 1] is the fraction of the target reached."""
    return progress


@SHAPES.add("cubic")
def cubic(progress):
    """Fast at first, then levelling off.

    Source: Zhu & Gupta 2017 (arXiv:1710.01878), eq. 1 with initial sparsity 0:
    :math:`1 - (1 - p)^3`.

    Example:
        >>> [cubic(p) for p in (0.0, 0.5, 1.0)]
        [0.0, 0.875, 1.0]
    """
    return 1 - (1 - progress) ** 3


@dataclass(frozen=True)
class Schedule:
    """Pruning events at ``start``, ``start + every``, ... and ``end``.

    Positions are counted in one unit, that of the start, end and interval; 0 fits either.

    Args:
        shape: name in :data:`SHAPES`.
        start: first event.
        end: last event; None for a single event at ``start``. Of ``growing``: the latest end of the growth.
        every: interval between events; None means one tenth of the way, at least 1.

    Raises:
        ValueError: unknown shape; end missing, not after the start, or given to ``once``; units
            mixed; interval of 0.
    """

    shape: str
    start: When
    end: Optional[When] = None
    every: Optional[When] = None

    def __post_init__(self):
        unused = {
            "once": {"--prune-end": self.end, "--prune-every": self.every},
            "growing": {"--prune-every": self.every},
        }
        for option, value in unused.get(self.shape, {}).items():
            if value:
                raise ValueError(
                    f"{option} {value}: --prune-schedule {self.shape} has one event, at --prune-start; "
                    "for gradual pruning give e.g. --prune-schedule cubic"
                )
        if self.end:
            self._check_positions()
        elif self.shape not in _ONE_EVENT:
            raise ValueError(f"--prune-schedule {self.shape} needs --prune-end, e.g. --prune-end 2000up")

    def _check_positions(self):
        if len(self._used_units) > 1:
            raise ValueError(
                f"--prune-start {self.start}, --prune-end {self.end}, --prune-every {self.every}: "
                "give all in epochs (e.g. 4ep) or all in updates (e.g. 500up)"
            )
        if self.end.count <= self.start.count:
            raise ValueError(
                f"--prune-end {self.end} must come after --prune-start {self.start}, "
                f"e.g. --prune-end {self.start.count + 1000}{self.unit}"
            )
        if self.every and self.every.count == 0:
            raise ValueError(f"--prune-every {self.every}: give at least 1, e.g. 100up")

    def __str__(self):
        if self.shape in _ONE_EVENT:
            return f"{self.shape} at {self.start}" + (f" until {self.end}" if self.end else "")
        return f"{self.shape} from {self.start} to {self.end} every {self._step}{self.unit}"

    @property
    def _used_units(self):
        return {w.unit for w in (self.start, self.end, self.every) if w and w.count}

    @property
    def unit(self):
        """``"ep"`` or ``"up"``: what positions count."""
        return next(iter(self._used_units), self.start.unit)

    @property
    def last(self):
        """Position of the last event, or the end of a growth (count of :attr:`unit`)."""
        return self.end.count if self.end else self.start.count

    @property
    def _step(self):
        span = self.last - self.start.count
        return self.every.count if self.every else max(1, math.ceil(span / 10))

    @property
    def num_events(self):
        """How many events there are."""
        if self.shape in _ONE_EVENT:
            return 1
        return 1 + math.ceil((self.last - self.start.count) / self._step)

    def events_by(self, position):
        """Events at or before ``position`` (count of :attr:`unit`)."""
        if position < self.start.count:
            return 0
        if position >= self.last:
            return self.num_events
        return 1 if self.shape in _ONE_EVENT else 1 + (position - self.start.count) // self._step

    def fraction_at(self, event):
        """Fraction of the target to be reached at an event, 1-based.

        Returns:
            A float in [0, 1]; exactly 1.0 at the last event.
        """
        if event >= self.num_events:
            return 1.0
        return SHAPES[self.shape]((event - 1) * self._step / (self.last - self.start.count))
