"""Times of a runtime, and right beside each of its batches that of the runtime which it is compared with.

Other work on the machine slows both alike, so it counts little in what one is to the other.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

WARM_UP = 2  # batches
COMPARED, FEWEST = 256, 5  # sentences, rows or images, and batches, that the first runtime repeats beside others


class Timed(Protocol):
    """What :class:`~.trial.Trial` and :class:`~.child.Child` offer alike."""

    def units(self, size: int) -> list[int]: ...

    def seconds(self, beam: int, size: int, index: int) -> float: ...

    def quality(self, size: int) -> dict[str, float]: ...

    def memory(self) -> dict[str, int]: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class First:
    """What others are compared with.

    Args:
        trial: that stays alive.
        beam: of its translations.
    """

    trial: Timed
    beam: int


def percentile(values: Sequence[float], fraction: float) -> float:
    """The smallest value that this fraction of all does not exceed."""
    ranked = sorted(values)
    return ranked[max(0, -int(-fraction * len(ranked) // 1) - 1)]


def time_beside(first: First, trial: Timed, beam: int, size: int) -> dict[str, Any]:
    """Run all batches of a size once, after some of them to warm up.

    Args:
        first: what it is compared with, perhaps itself.
        trial: what is timed.
        beam: of its translations.
        size: of the batches (count).

    Returns:
        ``per_second``, ``p50_ms`` and ``p95_ms`` of a batch, and ``measured``: how many times as fast as the first,
        the median of its batches.
    """
    units = trial.units(size)
    for index in range(min(WARM_UP, len(units))):
        trial.seconds(beam, size, index)
    alone = trial is first.trial and beam == first.beam
    apart = max(1, min(len(units) * size // COMPARED, -(-len(units) // FEWEST)))
    own, ratios = [], []
    for index in range(len(units)):
        other = None if alone or index % apart else first.trial.seconds(first.beam, size, index)
        own.append(trial.seconds(beam, size, index))
        if other is not None:
            ratios.append(other / own[-1])
    times = {"p50_ms": 1000 * statistics.median(own), "p95_ms": 1000 * percentile(own, 0.95)}
    return {"per_second": sum(units) / sum(own), **times, "measured": statistics.median(ratios) if ratios else 1.0}
