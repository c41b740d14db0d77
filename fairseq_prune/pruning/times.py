"""Points in time of a run: those of events, and the current position."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self


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
