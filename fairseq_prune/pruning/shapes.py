"""Shapes of schedules: how much of the target is removed by each event."""

from collections.abc import Callable
from dataclasses import dataclass

from .registry import Registry

SHAPES: Registry[Callable[["Step", float, float], float]] = Registry("schedule")
ONE_EVENT = ("once", "growing")
ROUNDS = "rounds"


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
