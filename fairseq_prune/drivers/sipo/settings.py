"""The settings of a SiPO run, and SiPO's published constants."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ...modules.csr.execute import check_how


@dataclass(frozen=True)
class SipoSettings:
    """A SiPO run.

    Args:
        group: grouping name, or groups by patterns.
        search: name in the table of searches: grid, ncs, warm.
        drop: tolerated loss of accuracy, as a fraction (0.01 is one point).
        accuracy: that the loss counts from; None = that of the model that is given.
        rounds: of pruning and retraining at most (count); 0 prunes once and does not retrain.
        epochs: of retraining in a round (count).
        seed: of the search.
        reference: replay the original's quirks.
        workers: candidates evaluated at a time (count).
        execute: how their layers run: dense, csr or auto.
        population: individuals of the search (count).
        generations: of the search (count).
        start: first rate of all groups.
        low: smallest rate of the reference; else that is what is removed already.
        high: largest rate.
        sigma: first standard deviation of steps.
        slack: of :class:`~.recovery.Recovery`.
        ppl_rise: tolerated rise of perplexity, as a fraction of the given model's; None = any.
        recover: what an epoch must reach to count as recovered: accuracy, perplexity or both.
        train: options of fairseq-train, list of words.
        grid_stops: the grid starts at 0 and ends at the first rate beyond the limit.
    """

    group: str = "stage"
    search: str = "ncs"
    drop: float = 0.01
    accuracy: float | None = None
    rounds: int = 0
    epochs: int = 8
    seed: int = 1
    reference: bool = False
    workers: int = 1
    execute: str = "dense"
    population: int = 6
    generations: int = 100
    start: float = 0.10
    low: float = 0.10
    high: float = 0.99999999
    sigma: float = 0.05
    slack: float = 0.0
    ppl_rise: float | None = None
    recover: str = "accuracy"
    train: Sequence[str] = field(default=())
    grid_stops: bool = False


_PRESETS: dict[tuple[bool, bool], dict[str, Any]] = {  # (translates, iterates) -> SiPO's numbers
    (False, False): dict(population=6, start=0.10, low=0.1, high=0.99999999),
    (False, True): dict(population=8, start=0.60, low=0.1, high=0.999, epochs=8),
    (True, False): dict(population=4, start=0.10, low=0.0, high=0.95, grid_stops=True),
    (True, True): dict(population=4, start=0.25, low=0.0, high=0.95, epochs=6, grid_stops=True),
}
_GRID_EPOCHS = 6


def default_search(group: str) -> str:
    """Name of the search of a grouping."""
    return "grid" if group in ("all", "simple", "layer") else "ncs"


def with_presets(translates: bool, rounds: int, **given: Any) -> SipoSettings:
    """SiPO's settings for a kind of model, with what the user gave.

    Args:
        translates: True for an encoder-decoder.
        rounds: 0 for pruning without retraining.
        **given: fields of :class:`SipoSettings`; None where nothing was given.

    Returns:
        Checked :class:`SipoSettings`.

    Raises:
        ValueError: a value out of its range.
    """
    typed = {name: value for name, value in given.items() if value is not None}
    settings = replace(SipoSettings(rounds=rounds, **_PRESETS[translates, rounds > 0]), **typed)
    if "search" not in typed:
        settings = replace(settings, search=default_search(settings.group))
    if "epochs" not in typed and settings.search == "grid":
        settings = replace(settings, epochs=_GRID_EPOCHS)
    _check(settings)
    return settings


_RANGES = {
    "drop": (0, 0.3, 0.01), "accuracy": (0, 1, 0.235), "rounds": (0, 10_000, 20), "epochs": (1, 10_000, 8),
    "workers": (1, 1024, 2),
    "population": (1, 10_000, 8), "generations": (1, 1_000_000, 100), "start": (0, 1, 0.1), "low": (0, 1, 0.1),
    "high": (0, 1, 0.999), "sigma": (1e-9, 1, 0.05), "slack": (0, 1, 0.001),
    "ppl_rise": (0, 1000, 0.05),
}  # fmt: skip

_OPTIONS = {"drop": "max-drop", "ppl_rise": "max-ppl-increase"}  # named otherwise than their fields


def _check(settings):
    check_how("--prune-execute", settings.execute)
    for name, (low, high, example) in _RANGES.items():
        value = getattr(settings, name)
        if value is not None and not low <= value <= high:
            option = _OPTIONS.get(name, name)
            raise ValueError(f"--{option} {value}: give a value in [{low}, {high}], e.g. --{option} {example}")
    if not settings.low <= settings.high:
        raise ValueError(f"--low {settings.low}: is above --high {settings.high}; give e.g. --low 0.1 --high 0.999")
