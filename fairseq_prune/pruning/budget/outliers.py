"""A fraction for each layer from the number of its outliers: OWL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from .shared import SharedFraction

SPREAD = 0.08  # lambda: fractions of blocks lie within the target plus and minus it, about
MULTIPLE = 5.0  # M: an outlier scores more than so many times the mean


@dataclass(frozen=True)
class Outliers(SharedFraction):
    """A fraction of all layers together; blocks with many outliers lose less of it, those with few lose more.

    Source: Yin et al., ICML 2024 (arXiv:2310.05175), OWL, with M = 5 and lambda = 0.08. An outlier is a weight whose
    size times the norm of its input is more than M times the mean of its block.
    """

    suffix, by = "owl", "outliers"

    def shares(self, scores: Mapping[str, Sequence[Tensor]], sizes: Mapping[str, int]) -> dict[str, float]:
        """Fractions that come to the target, exactly.

        Args:
            scores: dict of block -> tensors of its weights' sizes times norms.
            sizes: dict of block -> weights (count).

        Returns:
            dict of block -> fraction removed, in [0, 1).
        """
        ratios = {block: outlier_ratio(tensors) for block, tensors in scores.items()}
        low, high = min(ratios.values()), max(ratios.values())
        stretched = {b: 2 * SPREAD * (r - low) / (high - low) if high > low else 0.0 for b, r in ratios.items()}
        return fitted({block: -more for block, more in stretched.items()}, sizes, self.fraction)


def outlier_ratio(scores: Sequence[Tensor]) -> float:
    """Fraction of some tensors' elements, taken together, that is above :data:`MULTIPLE` times their mean."""
    count = sum(s.numel() for s in scores)
    mean = sum(float(s.double().sum()) for s in scores) / count
    return sum(int((s > MULTIPLE * mean).sum()) for s in scores) / count


def fitted(wishes: Mapping[str, float], sizes: Mapping[str, int], fraction: float) -> dict[str, float]:
    """Fractions as far from each other as wishes are, all moved so that together they come to a fraction.

    Args:
        wishes: dict of name -> any number; fractions beyond [0, 1) end there.
        sizes: dict of name -> weights (count).
        fraction: of all together.

    Returns:
        dict of name -> fraction, a count divided by the size; the counts add up to ``round(fraction * all)``.
    """
    total = round(fraction * sum(sizes.values()))
    low, high = -max(wishes.values()), 1 - min(wishes.values())
    for _ in range(100):
        middle = (low + high) / 2
        removed = sum(_within(wish + middle, sizes[name]) for name, wish in wishes.items())
        low, high = (middle, high) if removed < total else (low, middle)
    exact = {name: _within(wish + low, sizes[name]) for name, wish in wishes.items()}
    counts = {name: int(value) for name, value in exact.items()}
    missing = total - sum(counts.values())
    for name in sorted(exact, key=lambda n: counts[n] - exact[n]):
        more = min(1, missing, sizes[name] - 1 - counts[name])
        counts[name], missing = counts[name] + more, missing - more
    return {name: count / sizes[name] for name, count in counts.items()}


def _within(fraction, size):
    return min(max(fraction * size, 0), size - 1)
