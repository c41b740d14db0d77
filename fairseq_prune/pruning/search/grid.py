"""A common rate for all groups, found on a grid."""

import itertools

STEPS = tuple(step / 100 for step in range(1, 100))


def search_grid(allowed, steps=STEPS):
    """Raise a common rate step by step; all steps are evaluated, as SiPO's records list them.

    Args:
        allowed: function of (step index, rate) -> True if the limit holds.
        steps: ascending rates, an iterable.

    Returns:
        The rate before the first that violates the limit; 0.0 if the first does (the original then
        takes a later one), the last if none does (the original fails).
    """
    tried = [(rate, allowed(index, rate)) for index, rate in enumerate(steps)]
    within = list(itertools.takewhile(lambda step: step[1], tried))
    return within[-1][0] if within else 0.0
