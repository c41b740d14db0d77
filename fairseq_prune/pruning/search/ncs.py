"""Negatively Correlated Search as SiPO uses it.

Source: Tang, Yang & Yao, "Negatively Correlated Search", IEEE JSAC 34(3), 2016, with SiPO's differences:
all N individuals start at the same point, only feasible trials are accepted, and step sizes adapt every N
generations. Individuals are normal distributions; a trial that is good, or far from the other
individuals, replaces its parent.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class SearchSettings:
    """Settings of a search over the rates of d groups.

    Args:
        start: initial rates [d].
        low: smallest rates [d].
        high: largest rates [d].
        population: individuals (count).
        generations: trials of every individual (count).
        sigma: initial standard deviation of the steps.
        decay: factor r of the 1/5 rule.
        diversity: initial standard deviation of the trade-off lambda.
        reference: reproduce the original's quirks: individuals start with a positive fitness, which every
            feasible trial beats, and 0/0 rejects a trial. Otherwise they start with the fitness of the start,
            0/0 is 1/2, and step sizes stay above a thousandth of the range.
    """

    start: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    population: int = 8
    generations: int = 100
    sigma: float = 0.05
    decay: float = 0.99
    diversity: float = 0.1
    reference: bool = False


def bhattacharyya(mean: np.ndarray, sigma: np.ndarray, means: np.ndarray, sigmas: np.ndarray) -> np.ndarray:
    """Bhattacharyya distance of a diagonal Gaussian from others.

    Args:
        mean, sigma: float [d].
        means, sigmas: float [n, d].

    Returns:
        float [n]: (1/8) sum (a-b)^2/c + (1/2) sum [ln c - (ln s^2 + ln q^2)/2], c = (s^2 + q^2)/2.
    """
    middle = (sigma**2 + sigmas**2) / 2
    apart = ((mean - means) ** 2 / middle).sum(-1) / 8
    return apart + 0.5 * (np.log(middle) - 0.5 * (np.log(sigma**2) + np.log(sigmas**2))).sum(-1)


class NegativelyCorrelatedSearch:
    """Proposes trials (:meth:`ask`) and is told their fitness; equal seeds and fitnesses give equal searches.

    Args:
        settings: :class:`SearchSettings`.
        fitness: fitness of the start; below 0 if feasible.
        removed: fraction removed at the start, in [0, 1]; the initial fitness if ``settings.reference``.
        seed: seed of the random steps.

    Attributes:
        parents: float [N, d].
        best: best rates seen [d]; initially the start.
        best_fitness: their fitness.
    """

    def __init__(self, settings: SearchSettings, fitness: float, removed: float, seed: int):
        self._settings, self._random = settings, np.random.default_rng(seed)
        first = removed if settings.reference else fitness
        shape = (settings.population, len(settings.start))
        self.parents = np.tile(np.asarray(settings.start, float), (settings.population, 1))
        self.fitness = np.full(settings.population, first, float)
        self.sigma = np.full(shape, settings.sigma)
        self.best, self.best_fitness = self.parents[0].copy(), first
        self._accepted, self._generation = np.zeros(settings.population), 0

    @property
    def finished(self) -> bool:
        """True after the last generation."""
        return self._generation >= self._settings.generations

    def ask(self) -> np.ndarray:
        """The trials of the next generation, float [N, d], within the bounds."""
        steps = self._random.standard_normal(self.parents.shape)
        return np.clip(self.parents + self.sigma * steps, self._settings.low, self._settings.high)

    def tell(self, trials: np.ndarray, fitness: Sequence[float] | np.ndarray) -> np.ndarray:
        """Select: each trial replaces its parent or is dropped.

        Args:
            trials: what :meth:`ask` returned.
            fitness: float [N].

        Returns:
            True where a trial became a parent, bool [N].
        """
        fitness = np.asarray(fitness, float)
        winner = int(fitness.argmin())
        if fitness[winner] < self.best_fitness:
            self.best, self.best_fitness = trials[winner].copy(), float(fitness[winner])
        accepted = self._accepts(trials, fitness)
        self.parents[accepted] = trials[accepted]
        self.fitness[accepted] = fitness[accepted]
        self._accepted += accepted
        self._generation += 1
        if self._generation % self._settings.population == 0:
            self._adapt()
        return accepted

    def _accepts(self, trials, fitness):
        """True where a trial is feasible and lambda times its diversity share exceeds its fitness share, bool [N]."""
        progress = self._generation / self._settings.generations
        weight = self._random.normal(1.0, self._settings.diversity * (1 - progress), len(fitness))
        above = fitness - self.best_fitness
        quality = self._share(above, self.fitness - self.best_fitness)
        diversity = self._share(self._distance(trials), self._distance(self.parents))
        return (weight * diversity > quality) & (fitness < 0)

    def _share(self, mine, others):
        with np.errstate(invalid="ignore", divide="ignore"):
            share = mine / (others + mine)
        return share if self._settings.reference else np.nan_to_num(share, nan=0.5)

    def _distance(self, points):
        """Distance of each individual, moved to the given point, from the nearest other parent, float [N]."""
        nearest = np.zeros(len(points))
        for i, point in enumerate(points):
            others = np.arange(len(points)) != i
            if others.any():
                nearest[i] = bhattacharyya(point, self.sigma[i], self.parents[others], self.sigma[others]).min()
        return nearest

    def _adapt(self):
        """The 1/5 rule: wider steps where more than a fifth of the trials were accepted, narrower where fewer were."""
        settings = self._settings
        rate = self._accepted / settings.population
        self.sigma[rate > 0.2] /= settings.decay
        self.sigma[rate < 0.2] *= settings.decay
        self._accepted[:] = 0
        if not settings.reference:
            span = np.subtract(settings.high, settings.low)
            self.sigma = np.maximum(self.sigma, 1e-3 * span)
