"""The searches for rates: grid and NCS, on functions that stand for models."""

import math

import numpy as np
import pytest

from fairseq_prune.pruning.search.grid import FROM_ZERO, STEPS, search_grid
from fairseq_prune.pruning.search.ncs import NegativelyCorrelatedSearch, SearchSettings, bhattacharyya
from fairseq_prune.pruning.search.objective import Limit


class TestObjective:
    limit = Limit(accuracy=0.235, drop=0.01)

    def test_within_the_limit_it_is_minus_the_fraction_removed(self):
        assert self.limit.fitness(0.230, 0.7) == -0.7

    def test_a_drop_of_exactly_the_limit_is_within(self):
        assert self.limit.fitness(0.225, 0.7) == -0.7

    def test_beyond_it_is_the_drop_over_the_limit(self):
        assert self.limit.fitness(0.215, 0.7) == pytest.approx(2.0)
        assert self.limit.fitness(0.22499, 0.7) > 1

    def test_perplexity_without_a_limit_is_only_told(self):
        assert self.limit.fitness(0.230, 0.7, 1e9) == -0.7

    def test_signs(self):
        assert -1 <= self.limit.fitness(0.225, 1.0) < 0 < 1 < self.limit.fitness(0.2249, 1.0)
        exact = Limit(accuracy=0.5, drop=0.0)
        assert exact.allows(0.5) and exact.fitness(0.5 - 1e-6, 0.9) > 1

    def test_perplexity_counts_where_accuracy_is_within(self):
        both = Limit(accuracy=0.235, drop=0.01, perplexity=110.0)
        assert both.fitness(0.230, 0.7, 110.0) == -0.7 == self.limit.fitness(0.230, 0.7, None)
        assert both.fitness(0.230, 0.7, 121.0) == pytest.approx(1.1)
        assert both.fitness(0.215, 0.7, 121.0) == pytest.approx(2.0)


class TestGrid:
    @staticmethod
    def run(accuracy, steps=STEPS, stops=False):
        calls = []

        def allowed(step, rate):
            calls.append(rate)
            return Limit(0.5, 0.1).allows(accuracy(rate))

        return search_grid(allowed, steps, stops), calls

    def test_the_last_before_the_first_violation_even_if_a_later_one_is_within(self):
        chosen, calls = self.run(lambda rate: 0.3 if 0.40 <= rate < 0.50 else 0.5)
        assert chosen == 0.39 and calls == list(STEPS) and len(calls) == 99

    def test_translation_starts_at_zero_and_stops_at_the_first_violation(self):
        chosen, calls = self.run(lambda rate: 0.3 if 0.40 <= rate < 0.50 else 0.5, FROM_ZERO, stops=True)
        assert chosen == 0.39 and calls == [0.0, *STEPS[:40]]

    @pytest.mark.parametrize("of", [(STEPS, False), (FROM_ZERO, True)])
    def test_corner_cases(self, of):
        assert self.run(lambda rate: 0.0, *of)[0] == 0.0
        assert self.run(lambda rate: 0.5, *of)[0] == 0.99
        assert self.run(lambda rate: 0.5 if rate < 0.005 else 0.0, *of)[0] == 0.0


class TestDistance:
    @pytest.mark.parametrize(
        ("a", "s", "b", "q", "distance"),
        [(0.3, 0.05, 0.3, 0.05, 0.0), (0.3, 0.05, 0.35, 0.05, 0.125), (0.3, 0.05, 0.3, 0.1, 0.111572)],
    )
    def test_golden(self, a, s, b, q, distance):
        found = bhattacharyya(np.array([a]), np.array([s]), np.array([[b]]), np.array([[q]]))
        assert found == pytest.approx([distance], abs=1e-6)


def settings(**changes):
    return SearchSettings(**{"start": (0.1, 0.1), "low": (0.1, 0.1), "high": (0.95, 0.95), "population": 4} | changes)


def run(search, fitness):
    """Run to the end; what was tried, and how the search stood after each generation."""
    tried, stood = [], []
    while not search.finished:
        trials = search.ask()
        search.tell(trials, [fitness(x) for x in trials])
        tried.append(trials)
        stood.append((search.best_fitness, search.fitness.copy(), search.sigma.copy(), search.parents.copy()))
    return np.array(tried), stood


def bowl(x):
    """Feasible while x0 + 2 x1 <= 1.5; then more is better."""
    excess = x[0] + 2 * x[1] - 1.5
    return -x.mean() if excess <= 0 else 1 + excess


@pytest.mark.parametrize("reference", [False, True])
class TestNcs:
    def search(self, reference, seed=1, **changes):
        return NegativelyCorrelatedSearch(settings(reference=reference, **changes), -0.1, 0.1, seed)

    def test_it_finds_the_corner(self, reference):
        _, stood = run(self.search(reference), bowl)
        assert stood[-1][0] < -0.56  # the best is (0.95, 0.275): -0.6125

    def test_invariants(self, reference):
        tried, stood = run(self.search(reference), bowl)
        assert tried.shape == (100, 4, 2) and tried.min() >= 0.1 and tried.max() <= 0.95
        best = [entry[0] for entry in stood]
        assert all(later <= earlier for earlier, later in zip(best, best[1:], strict=False))
        accepted = np.array([entry[1] for entry in stood])
        assert ((accepted < 0) | (accepted == (0.1 if reference else -0.1))).all()
        sigma = stood[-1][2] / 0.05
        assert sigma.min() >= 0.99**25 - 1e-9 and sigma.max() <= 0.99**-25 + 1e-9 and len(np.unique(sigma)) > 1

    def test_steps_widen_where_more_than_a_fifth_of_the_trials_is_good(self, reference):
        """Of five in a row: all, exactly one, none."""
        search = self.search(reference, population=5, diversity=0.0, start=(0.5, 0.5))
        for generation in range(5):
            trials, fitness = search.ask(), np.full(5, 1.5)
            fitness[0] = -0.2 - generation / 10  # better each time
            fitness[1] = -0.9 if generation == 4 else 1.5
            search.tell(trials, fitness)
        assert search.sigma[:, 0] / 0.05 == pytest.approx([1 / 0.99, 1.0, 0.99, 0.99, 0.99])

    def test_equal_seeds_are_equal_and_others_are_not(self, reference):
        first, second, other = (run(self.search(reference, seed), bowl)[0] for seed in (1, 1, 2))
        assert (first == second).all() and (first != other).any()

    def test_nothing_feasible_leaves_the_start(self, reference):
        search = self.search(reference, generations=10)
        _, stood = run(search, lambda x: 1.5)
        assert (stood[-1][3] == 0.1).all() and (search.best == 0.1).all()

    def test_a_single_individual_does_not_fail(self, reference):
        search = NegativelyCorrelatedSearch(settings(reference=reference, population=1, generations=30), -0.1, 0.1, 1)
        run(search, bowl)
        assert search.best_fitness <= (0.1 if reference else -0.1)


def test_the_first_generation_of_the_reference_accepts_by_quality_alone():
    search = NegativelyCorrelatedSearch(settings(reference=True, population=2, diversity=0.0), -0.1, 0.1, 1)
    trials = search.ask()
    accepted = search.tell(trials, [-0.2, 1.5])
    assert accepted.tolist() == [True, False]  # nf = 0 / 0.3 < 1; the other is not feasible
    assert search.fitness.tolist() == [-0.2, 0.1] and not math.isnan(search.best_fitness)


def test_better_models_than_the_start_are_needed_in_the_sound_search():
    """The reference's positive first fitness lets a worse but feasible trial in as its best."""
    found = {}
    for reference in (False, True):
        search = NegativelyCorrelatedSearch(settings(reference=reference, population=1), -0.1, 0.1, 1)
        search.tell(search.ask(), [-0.05])
        found[reference] = search.best_fitness
    assert found == {False: -0.1, True: -0.05}


def test_how_much_diversity_counts_is_drawn_ever_closer_to_one(monkeypatch):
    search = NegativelyCorrelatedSearch(settings(generations=4), -0.1, 0.1, 1)
    drawn = []

    class Random:
        standard_normal = search._random.standard_normal

        def normal(self, mean, deviation, count):
            drawn.append((mean, deviation))
            return np.full(count, mean)

    monkeypatch.setattr(search, "_random", Random())
    run(search, bowl)
    assert drawn == [(1.0, pytest.approx(0.1 * left)) for left in (1, 0.75, 0.5, 0.25)]
