"""The rounds of a SiPO run: search, prune, retrain, test recovery."""

import math
import os
from dataclasses import asdict
from functools import partial
from typing import Any

from ...pruning.search.objective import Limit
from ..identity import file_checksum, stay_the_same
from .job import SipoJob
from .recovery import Recovery
from .retraining import Retraining
from .round_search import RoundSearch

_ROUNDING = 1e-9


class SipoRun:
    """One run in a folder; started again, it continues from what the folder holds.

    Args:
        job: what it works on, :class:`~.job.SipoJob`.

    Attributes:
        base: measures of the original model, as of :meth:`~.job.SipoJob.measure`.
        limit: the accuracy limit, from the original model's validation accuracy.
        retrain: :class:`~.retraining.Retraining`.

    Raises:
        ValueError: the folder holds another run.
    """

    def __init__(self, job: SipoJob):
        self._job, settings = job, job.settings
        inputs = {"checkpoint": file_checksum(job.checkpoint), "data": os.path.realpath(job.data)}
        stay_the_same(job.path("inputs.json"), inputs | {"reference": settings.reference})
        self.base = job.once("base.json", partial(job.measure, job.checkpoint))
        perplexity = self.base["valid"]["perplexity"]
        highest = None if settings.ppl_rise is None else perplexity * (1 + settings.ppl_rise)
        self.limit = Limit(self._reference_accuracy(), settings.drop, highest)
        stay_the_same(job.path("settings.json"), self._decisive())
        self._search = RoundSearch(job, self.limit, self.base["valid"]["targets"])
        self.retrain = Retraining(job, Recovery(self.limit.accuracy, perplexity, settings.slack, settings.recover))

    def _decisive(self):
        """The settings that decide results: all but how many work at it and where it ends."""
        plain = {**asdict(self._job.settings), "train": list(self._job.settings.train), "groups": self._job.groups}
        plain["rounds"] = self._job.settings.rounds > 0
        if not plain["rounds"]:
            del plain["train"], plain["epochs"], plain["slack"], plain["recover"]
        del plain["workers"]
        return plain

    def _reference_accuracy(self):
        """Accuracy to compare with; the reference cuts a translation model's to a tenth of a point."""
        accuracy, given, drop = self.base["valid"]["accuracy"], self._job.settings.accuracy, self._job.settings.drop
        if given is not None:
            if not Limit(given, drop).allows(accuracy):
                raise ValueError(
                    f"--accuracy {given}: the model itself has {accuracy:.4f}, a loss above --max-drop {drop}; "
                    f"give e.g. --accuracy {accuracy:.4f}"
                )
            return given
        cuts = self._job.settings.reference and self._job.translates
        return math.floor(accuracy * 1000 + 1e-9) / 1000 if cuts else accuracy

    def run(self) -> dict[str, Any]:
        """All rounds.

        Returns:
            dict of plain values: ``rounds`` (list of dict), ``stop`` (why it ended: no_feasible, no_gain,
            not_recovered, max_iter), and ``best`` (number of the best round or None).
        """
        job = self._job
        rounds: list[dict[str, Any]] = []
        best, start, rates, sigma = None, job.checkpoint, None, job.settings.sigma
        stop = "max_iter"
        for number in range(max(job.settings.rounds, 1)):
            found = job.once(f"search-{number}.json", partial(self._search, number, start, rates, sigma))
            if found["rates"] is None:
                stop = "no_feasible"
                break
            gain = found["removed"] - rounds[-1]["search"]["removed"] if rounds else 1.0
            if gain <= _ROUNDING and not (self._searches_again and gain >= -_ROUNDING):
                stop = "no_gain"
                break
            rates = found["rates"]
            entry = {"round": number, "search": found}
            pruned = job.path(f"pruned-{number}.pt")
            entry["pruned"] = job.once(f"pruned-{number}.json", partial(job.measure, pruned))
            rounds.append(entry)
            if gain <= _ROUNDING:
                sigma = self._rescaled(sigma, entry["pruned"])
                continue
            if not job.settings.rounds:
                best = number
                break
            entry["retrained"] = job.once(f"retrained-{number}.json", partial(self.retrain, number))
            if not entry["retrained"]["recovered"]:
                stop = "not_recovered"
                break
            best, start = number, job.path(f"retrained-{number}.pt")
        return {"rounds": rounds, "stop": stop, "best": best}

    @property
    def _searches_again(self):
        """The reference's language model searches on with other steps where a search removes just as much."""
        return self._job.settings.reference and self._job.settings.search == "ncs" and not self._job.translates

    def _rescaled(self, sigma, pruned):
        """A tenth of the steps where the (test) accuracy is below the original's on valid, else ten times them."""
        accuracy = pruned.get("test", pruned["valid"])["accuracy"]
        return sigma / 10 if accuracy < self.limit.accuracy else sigma * 10

    def best_checkpoint(self, number: int) -> str:
        """Path of a round's result."""
        return self._job.path(f"retrained-{number}.pt" if self._job.settings.rounds else f"pruned-{number}.pt")
