"""When, and how much of the target by then."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from .registry import Registry

SHAPES: Registry[Callable[["Step", float, float], float]] = Registry("schedule")


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
    def parse(cls, text: str) -> Self:
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


@dataclass(frozen=True)
class Position:
    """Where a run is: at an update that comes or is being made.

    Args:
        epochs: completed (count).
        updates: completed (count).
        ends_epoch: that update is the last of its epoch.
        updates_until: function from a count of epochs, the present one included, to the updates until they are over,
            this one included (count); None where epochs have no known length.
    """

    epochs: int = 0
    updates: int = 0
    ends_epoch: bool = False
    updates_until: Callable[[int], int] | None = None

    def of(self, unit: str) -> int:
        """Completed epochs (``"ep"``) or updates (``"up"``)."""
        return {"ep": self.epochs, "up": self.updates}[unit]


@dataclass(frozen=True)
class Step:
    """Where in a schedule an event is.

    Args:
        index: of the event, from 0.
        events: how many there are (count).
        progress: part of the way from the first event to the last, in [0, 1].
    """

    index: int
    events: int
    progress: float


@SHAPES.add("once", "growing", "reselect")
def at_once(step: Step, initial: float, target: float) -> float:
    """The whole target at every event: ``once`` has one, ``growing`` one and a penalty, ``reselect`` many.

    Args:
        step: :class:`Step`.
        initial: fraction removed before the first event.
        target: fraction removed after the last one.

    Returns:
        Fraction removed after the step.
    """
    return target


_ONE_EVENT = ("once", "growing")


ROUNDS = "rounds"


@SHAPES.add("linear", ROUNDS)
def linear(step: Step, initial: float, target: float) -> float:
    """Equal steps; arguments as :func:`at_once`."""
    return (1 - step.progress) * initial + step.progress * target


@SHAPES.add("cubic")
def cubic(step: Step, initial: float, target: float) -> float:
    """Fast at first, then levelling off; arguments as :func:`at_once`.

    Source: Zhu & Gupta 2017 (arXiv:1710.01878), eq. 1.

    Example:
        >>> [cubic(Step(i, 3, i / 2), 0.0, 1.0) for i in range(3)]
        [0.0, 0.875, 1.0]
    """
    return target + (initial - target) * (1 - step.progress) ** 3


@SHAPES.add("exponential")
def exponential(step: Step, initial: float, target: float) -> float:
    """The same share of what is left at every step; arguments as :func:`at_once`.

    With n steps this is iterative pruning in n rounds, of which each keeps the n-th root of what is kept in the end.
    Source: Frankle & Carbin, ICLR 2019 (arXiv:1803.03635).
    """
    return 1 - (1 - initial) ** (1 - step.progress) * (1 - target) ** step.progress


@SHAPES.add("halving")
def halving(step: Step, initial: float, target: float) -> float:
    """Half of the gap to the target at every event, and the rest at the last; arguments as :func:`at_once`.

    Source: Verdenius et al. 2020 (arXiv:2006.00896), SNIP-it. Theirs begins at 0.5 whatever the target, and has two
    events more than its number of steps; ours begins at half of the way.

    Example:
        >>> [round(halving(Step(i, 3, i / 2), 0.7, 0.9), 4) for i in range(2)]
        [0.8, 0.85]
    """
    return target - (target - initial) / 2 ** (step.index + 1)


@dataclass(frozen=True)
class Schedule:
    """Pruning events at ``start``, ``start + every``, ... and ``end``.

    Positions are counted in one unit, that of the start, end and interval; 0 fits either.

    Args:
        shape: name in :data:`SHAPES`.
        start: first event.
        end: last event; None for a single event at ``start``. Of ``growing``: the latest end of the growth.
        every: interval between events; None means one tenth of the way, at least 1.
        steps: events that all happen at ``start``, one after the other (count). Of ``rounds``: the second begins when
            the first is over, and so on; how long they are is up to the approach.

    Raises:
        ValueError: unknown shape; end missing, not after the start, or given to ``once``; units
            mixed; interval of 0.
    """

    shape: str
    start: When
    end: When | None = None
    every: When | None = None
    steps: int | None = None

    def __post_init__(self):
        if self.steps is not None:
            self._check_steps(self.steps)
        unused = {
            "once": {"--prune-end": self.end, "--prune-every": self.every},
            "growing": {"--prune-every": self.every},
            ROUNDS: {"--prune-end": self.end, "--prune-every": self.every},
        }
        for option, value in unused.get(self.shape, {}).items():
            if value:
                ends = "ends with its last round" if self.in_rounds else "has one event, at --prune-start"
                raise ValueError(
                    f"{option} {value}: --prune-schedule {self.shape} {ends}; "
                    "for gradual pruning give e.g. --prune-schedule cubic"
                )
        if self.end:
            self._check_positions(self.end)
        elif self.shape not in _ONE_EVENT and not self.steps:
            option = "--prune-freeze" if self.shape == "reselect" else "--prune-end"
            raise ValueError(f"--prune-schedule {self.shape} needs {option}, e.g. {option} 2000up")

    def _check_steps(self, steps: int) -> None:
        if self.shape in (*_ONE_EVENT, "reselect"):
            raise ValueError(
                f"--prune-steps {steps}: --prune-schedule {self.shape} has none; e.g. --prune-schedule halving"
            )
        if self.end or self.every:
            option = f"--prune-end {self.end}" if self.end else f"--prune-every {self.every}"
            raise ValueError(f"--prune-steps {steps}: are all at --prune-start; leave out {option}")
        if steps < 1:
            raise ValueError(f"--prune-steps {steps}: give at least 1, e.g. --prune-steps 5")

    def _check_positions(self, end: When) -> None:
        if len(self._used_units) > 1:
            raise ValueError(
                f"--prune-start {self.start}, --prune-end {end}, --prune-every {self.every}: "
                "give all in epochs (e.g. 4ep) or all in updates (e.g. 500up)"
            )
        if end.count <= self.start.count:
            raise ValueError(
                f"--prune-end {end} must come after --prune-start {self.start}, "
                f"e.g. --prune-end {self.start.count + 1000}{self.unit}"
            )
        if self.every and self.every.count == 0:
            raise ValueError(f"--prune-every {self.every}: give at least 1, e.g. 100up")

    def __str__(self):
        if self.shape in _ONE_EVENT:
            return f"{self.shape} at {self.start}" + (f" until {self.end}" if self.end else "")
        if self.steps:
            return f"{self.shape} in {self.steps} steps {'from' if self.in_rounds else 'at'} {self.start}"
        return f"{self.shape} from {self.start} to {self.end} every {self._step}{self.unit}"

    @property
    def _used_units(self):
        return {w.unit for w in (self.start, self.end, self.every) if w and w.count}

    @property
    def unit(self) -> str:
        """``"ep"`` or ``"up"``: what positions count."""
        return next(iter(self._used_units), self.start.unit)

    @property
    def last(self) -> int:
        """Position of the last event, or the end of a growth (count of :attr:`unit`)."""
        return self.end.count if self.end else self.start.count

    @property
    def _step(self):
        span = self.last - self.start.count
        return self.every.count if self.every else max(1, math.ceil(span / 10))

    @property
    def num_events(self) -> int:
        """How many events there are."""
        if self.shape in _ONE_EVENT:
            return 1
        if self.steps:
            return self.steps
        return 1 + math.ceil((self.last - self.start.count) / self._step)

    def is_last(self, event: int) -> bool:
        """True for the last event, 1-based, and after it."""
        return event >= self.num_events

    def is_past(self, position: int) -> bool:
        """True if a position is at the end or after it; a growth without an end has none."""
        return self.end is not None and position >= self.last

    @property
    def in_rounds(self) -> bool:
        """True if every event begins a round, which ends before the next one."""
        return self.shape == ROUNDS

    def events_by(self, position: int, begun: int = 0, over: bool = True) -> int:
        """Events at or before ``position`` (count of :attr:`unit`).

        Args:
            position: count.
            begun: rounds that have begun (count).
            over: the last of them is over.
        """
        if position < self.start.count:
            return 0
        if self.in_rounds:
            return min(begun + over, self.num_events)
        if position >= self.last:
            return self.num_events
        return 1 if self.shape in _ONE_EVENT else 1 + (position - self.start.count) // self._step

    def due(self, done: int, event: int) -> range:
        """Numbers of the events that happen now, once so many are done; of those missed only the last counts."""
        return range(done + 1, event + 1) if self.steps else range(event, event + 1)

    def fraction_at(self, event: int, initial: float = 0.0, target: float = 1.0) -> float:
        """Fraction removed after an event, 1-based.

        Args:
            event: its number.
            initial: fraction removed before the first one.
            target: fraction removed after the last one.

        Returns:
            A float; exactly the target at the last event.
        """
        if self.is_last(event):
            return target
        span = self.last - self.start.count
        progress = (event - 1) * self._step / span if span else event / self.num_events
        return SHAPES[self.shape](Step(event - 1, self.num_events, progress), initial, target)
