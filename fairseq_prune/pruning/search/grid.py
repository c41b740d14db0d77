"""A common rate for all groups, found on a grid."""

from collections.abc import Callable, Iterable

STEPS = tuple(step / 100 for step in range(1, 100))
FROM_ZERO = (0.0, *STEPS)


def search_grid(allowed: Callable[[int, float], bool], steps: Iterable[float] = STEPS, stops: bool = False) -> float:
    """Raise a common rate step by step.

    Args:
        allowed: function of (step index, rate) -> True if the limit holds.
        steps: ascending rates, an iterable.
        stops: False, as SiPO's of language models: all steps are evaluated, and its records list them. True, as its of
            translation: the first that violates the limit is the last that is evaluated.

    Returns:
        The rate before the first that violates the limit; 0.0 if the first does (the original then
        takes a later one), the last if none does (the original fails).
    """
    best, within = 0.0, True
    for index, rate in enumerate(steps):
        if not allowed(index, rate):
            within = False
            if stops:
                break
        elif within:
            best = rate
    return best
