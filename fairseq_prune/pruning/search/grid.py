"""Grid search for one rate that all groups share."""

from collections.abc import Callable, Iterable

STEPS = tuple(step / 100 for step in range(1, 100))
FROM_ZERO = (0.0, *STEPS)


def search_grid(allowed: Callable[[int, float], bool], steps: Iterable[float] = STEPS, stops: bool = False) -> float:
    """Raise the common rate step by step.

    Args:
        allowed: function of (step index, rate) that returns True if the limit holds.
        steps: ascending rates.
        stops: False evaluates all steps, as SiPO does for language models, whose records list them all. True stops
            at the first step that violates the limit, as SiPO does for translation.

    Returns:
        The rate before the first one that violates the limit; 0.0 if the very first one does (the original
        then takes a later one), the last one if none does (the original fails).
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
