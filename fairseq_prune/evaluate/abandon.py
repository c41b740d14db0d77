"""When the evaluation of a candidate can be abandoned."""

import statistics
from collections.abc import Sequence

_FEWEST_BLOCKS = 4
_DEVIATIONS = 3.5


def is_hopeless(hits: Sequence[int], reference: Sequence[int], required: float) -> bool:
    """True if a candidate will almost surely miss the required hits.

    Its hits are paired with those of a similar model, block by block; the rest is predicted from the
    mean difference, with 3.5 standard errors to spare. One that has the required hits already never misses them.

    Args:
        hits: of the candidate in the blocks so far (counts).
        reference: of the other model in all blocks (counts).
        required: hits over all blocks (count).
    """
    done, left = len(hits), len(reference) - len(hits)
    if done < _FEWEST_BLOCKS or not left or sum(hits) >= required:
        return False
    gains = [mine - other for mine, other in zip(hits, reference, strict=False)]
    predicted = sum(hits) + sum(reference[done:]) + left * statistics.fmean(gains)
    error = statistics.stdev(gains) * (left + left**2 / done) ** 0.5
    return predicted + _DEVIATIONS * error < required
