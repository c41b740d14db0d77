"""The search within a round: from a checkpoint to a pruned one."""

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from torch import Tensor

from ...compat import load_checkpoint
from ...files.records import Records
from ...pruning.search.objective import Limit
from ...pruning.search.table import MagnitudeTable, reference_count, sound_count
from ..checkpoints import write_pruned
from .candidates import Candidates
from .job import SipoJob
from .searches import SEARCHES
from .training import write_recipe


class RoundSearch:
    """Searches rates for the groups of a model.

    Args:
        job: :class:`~.job.SipoJob`.
        limit: the accuracy limit.
        targets: of the validation split (count).
    """

    def __init__(self, job: SipoJob, limit: Limit, targets: int):
        self._job, self._limit, self._targets = job, limit, targets
        self._dense: dict[str, Tensor] | None = None

    def __call__(self, number: int, start: str, rates: Sequence[float] | None, sigma: float) -> dict[str, Any]:
        """Search from a checkpoint's weights, and write the pruned model.

        Args:
            number: of the round, from 0.
            start: path of the checkpoint.
            rates: that the round before found; None in the first.
            sigma: of the search's first steps.

        Returns:
            dict of plain values: ``rates``, None if none is feasible; else also what they remove.
        """
        job, settings = self._job, replace(self._job.settings, sigma=sigma)
        model = job.bench.model(start)
        weights = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
        table = MagnitudeTable(weights, job.groups)
        evaluator = job.bench.evaluator(model, "valid")
        evaluator.measure()  # learns which words are predicted
        evaluators = [evaluator, *(evaluator.copy() for _ in range(settings.workers - 1))]
        records = Records(job.path(f"search-{number}.jsonl"), self._header(settings, number, table))
        candidates = Candidates(table, self._counting(table), evaluators, self._limit, self._targets, records)
        first = np.full(len(job.groups), settings.start) if rates is None else np.asarray(rates)
        found = SEARCHES[settings.search](candidates, settings, first, self._lowest(table), self._logging(number))
        if found is None:
            return {"rates": None}
        counts = candidates.counts(found)
        removed = table.removed(counts)
        table.write(counts, evaluator.parameters)
        named = dict(evaluator.model.named_parameters(remove_duplicate=False))
        write_pruned(load_checkpoint(start), named, table.masks(counts), job.path(f"pruned-{number}.pt"))
        fractions = {name: removed[name] / group.size for name, group in table.groups.items()}
        write_recipe(job.path(f"rates-{number}.yaml"), job.groups, fractions)
        return {
            "rates": [float(rate) for rate in found], "removed": table.fraction_removed(counts),
            "pruned": sum(removed.values()), "total": table.size, "by_group": fractions,
        }  # fmt: skip

    def _logging(self, number):
        """The progress bar's arguments; in TensorBoard each round is a run of its own."""
        folder = self._job.log.get("tensorboard_logdir")
        own = {"tensorboard_logdir": os.path.join(folder, f"round-{number}")} if folder else {}
        return {**self._job.log, **own}

    def _lowest(self, table):
        """Lowest rates: the given ones in the reference, else what is removed already."""
        if self._job.settings.reference:
            return np.full(len(self._job.groups), self._job.settings.low)
        return np.array([group.zeros / group.size for group in table.groups.values()])

    def _counting(self, table):
        """The rule from a rate to a number of weights."""
        if not self._job.settings.reference:
            return lambda rate, name: sound_count(rate, table.groups[name].magnitudes)
        if self._job.settings.search != "grid":
            return lambda rate, name: reference_count(rate, table.groups[name].magnitudes)
        if self._dense is None:  # the original's grid keeps the thresholds of the dense model
            dense = self._job.bench.model(self._job.checkpoint)
            ranked = MagnitudeTable(dict(dense.named_parameters()), self._job.groups).groups
            self._dense = {name: group.magnitudes for name, group in ranked.items()}
        return lambda rate, name: reference_count(rate, table.groups[name].magnitudes, self._dense[name])

    def _header(self, settings, number, table):
        return {
            "round": number, "search": settings.search, "seed": settings.seed, "reference": settings.reference,
            "accuracy": self._limit.accuracy, "drop": settings.drop, "perplexity": self._limit.perplexity,
            "targets": self._targets, "population": settings.population, "generations": settings.generations,
            "sigma": settings.sigma, "start": settings.start, "low": settings.low, "high": settings.high,
            "groups": {name: group.size for name, group in table.groups.items()},
        }  # fmt: skip
