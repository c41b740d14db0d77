"""The searches for rates, each a function of candidates and settings."""

from collections.abc import Callable
from typing import Any

import numpy as np
from fairseq.logging import progress_bar

from ...pruning.registry import Registry
from ...pruning.search import ncs
from ...pruning.search.grid import FROM_ZERO, STEPS, search_grid
from .candidates import Candidates
from .settings import SipoSettings

Log = dict[str, Any]  # keyword arguments of fairseq's progress bar
Search = Callable[[Candidates, SipoSettings, np.ndarray, np.ndarray, Log], np.ndarray | None]
SEARCHES: Registry[Search] = Registry("search")
START = -1  # the generation of what a search starts from
COMMON = -2  # that of common thresholds
_HALVINGS = 7


@SEARCHES.add("grid")
def grid(
    candidates: Candidates, settings: SipoSettings, start: np.ndarray, low: np.ndarray, log: dict[str, Any]
) -> np.ndarray | None:
    """One rate for all groups, on a grid of 1 %; every record has its perplexity, as SiPO's.

    Args:
        candidates: :class:`~.candidates.Candidates`.
        settings: :class:`~.settings.SipoSettings`.
        start: not used.
        low: not used: what is removed stays removed at any rate.
        log: keyword arguments of fairseq's progress bar.

    Returns:
        Rates [groups], or None if no rate is within the limit.
    """
    groups = len(candidates.table.groups)

    def allowed(step, rate):
        return candidates.evaluate(step, 0, [rate] * groups, perplexity=True)["feasible"]

    steps = FROM_ZERO if settings.grid_stops else STEPS
    with progress_bar.progress_bar(list(steps), prefix="search", **log) as bar:
        rate = search_grid(allowed, bar, settings.grid_stops)
    return np.full(groups, rate) if rate else None


@SEARCHES.add("ncs")
def negatively_correlated(
    candidates: Candidates, settings: SipoSettings, start: np.ndarray, low: np.ndarray, log: dict[str, Any]
) -> np.ndarray | None:
    """All rates jointly, by Negatively Correlated Search.

    Args:
        candidates, settings, log: as :func:`grid`.
        start: rates to start from [groups].
        low: lowest rates [groups].

    Returns:
        As :func:`grid`; the reference takes the rates to start from where none is within the limit.
    """
    start = np.clip(start, low, np.maximum(low, settings.high))
    first = _feasible_start(candidates, settings, start, low)
    search = ncs.NegativelyCorrelatedSearch(
        ncs.SearchSettings(
            tuple(first["rates"]), tuple(low), (settings.high,) * len(low), settings.population, settings.generations,
            settings.sigma, reference=settings.reference,
        ),
        first["fitness"], first["removed"], settings.seed,
    )  # fmt: skip
    hits, generations = [first["hits"]] * settings.population, range(settings.generations)
    with progress_bar.progress_bar(list(generations), prefix="search", **log) as bar:
        for generation in bar:
            trials = search.ask()
            may_abandon = search.best_fitness < 0 and not settings.reference
            found = candidates.evaluate_all(generation, trials, hits if may_abandon else None)
            accepted = search.tell(trials, [record["fitness"] for record in found])
            hits = [record["hits"] if taken else old for record, taken, old in zip(found, accepted, hits, strict=True)]
            bar.log({"best": round(search.best_fitness, 4), "accepted": int(accepted.sum())}, step=generation)
    return search.best if settings.reference or search.best_fitness < 0 else None


@SEARCHES.add("warm")
def warm(
    candidates: Candidates, settings: SipoSettings, start: np.ndarray, low: np.ndarray, log: dict[str, Any]
) -> np.ndarray | None:
    """As ncs, from the highest common threshold of all groups within the limit, found by bisection.

    Not SiPO's: one threshold for all is a vector of rates, too, and a better one to start from than equal
    rates. Arguments and result as :func:`negatively_correlated`; ``start`` is not used.
    """
    table, best, reach = candidates.table, low, (0.0, 1.0)
    for attempt in range(_HALVINGS):
        middle = sum(reach) / 2
        rates = np.clip(table.rates_below(table.quantile(middle)), low, np.maximum(low, settings.high))
        allowed = candidates.evaluate(COMMON, attempt, rates)["feasible"]
        best, reach = (rates, (middle, reach[1])) if allowed else (best, (reach[0], middle))
    return negatively_correlated(candidates, settings, best, low, log)


def _feasible_start(candidates, settings, rates, low):
    """The record to start from: halfway to the lowest rates until the limit holds; the reference stays put."""
    for attempt in range(8):
        record = candidates.evaluate(START, attempt, rates)
        if settings.reference or record["feasible"]:
            break
        rates = low + (rates - low) / 2 if attempt < 6 else low
    return record
