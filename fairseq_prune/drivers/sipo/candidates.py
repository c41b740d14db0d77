"""Candidates: vectors of rates, applied to one table of weights and evaluated."""

import math
import queue
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch

from ...evaluate.abandon import is_hopeless
from ...evaluate.evaluator import Evaluator
from ...files.records import Records
from ...pruning.search.objective import Limit
from ...pruning.search.table import MagnitudeTable

Rates = Sequence[float] | np.ndarray  # one a group


class Candidates:
    """Evaluates rates, or finds them among the records.

    Args:
        table: :class:`~fairseq_prune.pruning.search.table.MagnitudeTable`.
        count: function of (rate, group name) -> weights to remove (count).
        evaluators: one :class:`~fairseq_prune.evaluate.evaluator.Evaluator` for each worker; their weights change.
        limit: :class:`~fairseq_prune.pruning.search.objective.Limit`.
        targets: of the validation split (count).
        records: :class:`~fairseq_prune.files.records.Records`.
    """

    def __init__(
        self,
        table: MagnitudeTable,
        count: Callable[[float, str], int],
        evaluators: Sequence[Evaluator],
        limit: Limit,
        targets: int,
        records: Records,
    ):
        self.table, self.limit, self.targets = table, limit, targets
        self._count, self._records = count, records
        self._workers = len(evaluators)
        self._free: queue.SimpleQueue[Evaluator] = queue.SimpleQueue()
        for evaluator in evaluators:
            self._free.put(evaluator)

    def counts(self, rates: Rates) -> dict[str, int]:
        """Weights to remove of each group (dict of group -> count) at rates, one a group."""
        return {name: self._count(rate, name) for name, rate in zip(self.table.groups, rates, strict=True)}

    def evaluate_all(
        self, generation: int, trials: Sequence[Rates] | np.ndarray, references: Sequence[Sequence[int]] | None = None
    ) -> list[dict[str, Any]]:
        """Records of the trials of a generation.

        Args:
            generation: its number.
            trials: rates [n, groups].
            references: for each trial, hits by block of the model to compare with early (counts); None:
                evaluate all to the end.
        """
        jobs = [
            partial(self.evaluate, generation, i, rates, references[i] if references else None)
            for i, rates in enumerate(trials)
        ]
        if self._workers == 1:
            return [job() for job in jobs]
        threads = torch.get_num_threads()
        share = max(1, threads // self._workers)
        try:
            with ThreadPoolExecutor(self._workers, initializer=torch.set_num_threads, initargs=(share,)) as pool:
                return list(pool.map(lambda job: job(), jobs))
        finally:
            torch.set_num_threads(threads)  # torch has one number for the process; workers set it, too

    def evaluate(
        self,
        generation: int,
        individual: int,
        rates: Rates,
        reference: Sequence[int] | None = None,
        perplexity: bool = False,
    ) -> dict[str, Any]:
        """The record of one candidate, dict of plain values.

        Args:
            generation, rates, reference: as :meth:`evaluate_all`, of this candidate.
            individual: its number in the generation.
            perplexity: measure it even where the limit does not ask for it.
        """
        known = self._records.get(generation, individual)
        if known:
            return known
        rates, start = [float(rate) for rate in rates], time.perf_counter()
        counts = self.counts(rates)
        removed = self.table.removed(counts)
        required = math.ceil((self.limit.floor - 1e-12) * self.targets)
        with self._borrow() as evaluator:
            self.table.write(counts, evaluator.parameters)
            hopeless = partial(is_hopeless, reference=reference, required=required) if reference else lambda hits: False
            score = evaluator.hits(self.targets, hopeless)
            measured = evaluator.perplexity(self.targets) if perplexity or self._is_limited(score) else None
        fraction = self.table.fraction_removed(counts)
        fitness = self.limit.fitness(score.accuracy, fraction, measured)
        record = {
            "generation": generation, "individual": individual, "rates": rates, "removed": fraction,
            "by_group": {name: removed[name] / group.size for name, group in self.table.groups.items()},
            "hits": list(score.block_hits), "accuracy": score.accuracy, "perplexity": measured,
            "complete": score.complete, "feasible": score.complete and fitness <= 0, "fitness": fitness,
            "seconds": round(time.perf_counter() - start, 3),
        }  # fmt: skip
        self._records.add(record)
        return record

    def _is_limited(self, score):
        """True if it is the perplexity that decides."""
        return self.limit.perplexity is not None and score.complete and self.limit.allows(score.accuracy)

    @contextmanager
    def _borrow(self):
        evaluator = self._free.get()
        try:
            yield evaluator
        finally:
            self._free.put(evaluator)
