"""A common rate for all groups, found on a grid."""

STEPS = tuple(step / 100 for step in range(1, 100))


def search_grid(evaluate, limit, steps=STEPS):
    """Raise a common rate step by step; all steps are evaluated, as SiPO's records list them.

    Args:
        evaluate: function of (step index, rate) -> accuracy.
        limit: the :class:`~.objective.Limit`.
        steps: ascending rates.

    Returns:
        The rate before the first that violates the limit; 0.0 if the first does (the original then
        takes a later one), the last if none does (the original fails).
    """
    allowed = [limit.allows(evaluate(index, rate)) for index, rate in enumerate(steps)]
    first = allowed.index(False) if False in allowed else len(steps)
    return steps[first - 1] if first else 0.0
