"""Schedules: when events take place, and how much of the target is removed by then."""

import math
from dataclasses import dataclass

from .shapes import ONE_EVENT, ROUNDS, SHAPES, Step
from .times import When


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
        elif self.shape not in ONE_EVENT and not self.steps:
            raise ValueError(f"--prune-schedule {self.shape} needs {self.end_option}, e.g. {self.end_option} 2000up")

    @property
    def end_option(self) -> str:
        """By which its end is given."""
        return "--prune-freeze" if self.shape == "reselect" else "--prune-end"

    def _check_steps(self, steps: int) -> None:
        if self.shape in (*ONE_EVENT, "reselect"):
            raise ValueError(
                f"--prune-steps {steps}: --prune-schedule {self.shape} has none; e.g. --prune-schedule halving"
            )
        if self.end or self.every:
            option = f"{self.end_option} {self.end}" if self.end else f"--prune-every {self.every}"
            raise ValueError(f"--prune-steps {steps}: all take place at --prune-start; leave out {option}")
        if steps < 1:
            raise ValueError(f"--prune-steps {steps}: give at least 1, e.g. --prune-steps 5")

    def _check_positions(self, end: When) -> None:
        if len(self._used_units) > 1:
            times = {"--prune-start": self.start, self.end_option: end, "--prune-every": self.every}
            given = ", ".join(f"{option} {time}" for option, time in times.items() if time and time.count)
            raise ValueError(f"{given}: give all in epochs (e.g. 4ep) or all in updates (e.g. 500up)")
        if end.count <= self.start.count:
            raise ValueError(
                f"{self.end_option} {end} must come after --prune-start {self.start}, "
                f"e.g. {self.end_option} {self.start.count + 1000}{self.unit}"
            )
        if self.every and self.every.count == 0:
            raise ValueError(f"--prune-every {self.every}: give at least 1, e.g. 100up")

    def __str__(self):
        if self.shape in ONE_EVENT:
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
        if self.shape in ONE_EVENT:
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
        return 1 if self.shape in ONE_EVENT else 1 + (position - self.start.count) // self._step

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


@dataclass(frozen=True)
class _Never(Schedule):
    """The schedule of a plan that removes nothing: it has no events."""

    shape: str = ""
    start: When = When(0, "up")

    def __post_init__(self):
        """There is nothing to check."""

    def __str__(self):
        return ""

    @property
    def num_events(self) -> int:
        return 0

    def events_by(self, position: int, begun: int = 0, over: bool = True) -> int:
        return 0


NEVER: Schedule = _Never()
