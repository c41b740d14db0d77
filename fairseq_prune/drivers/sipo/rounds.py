"""The rounds of a SiPO run: search, prune, retrain, test recovery."""

import math
import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import numpy as np
from torch import Tensor

from ...compat import load_checkpoint
from ...evaluate.load import Workbench
from ...evaluate.translation import translate
from ...files.json_file import read_sealed, write_sealed
from ...files.records import Records
from ...pruning.search.objective import Limit
from ...pruning.search.table import MagnitudeTable, reference_count, sound_count
from ..checkpoints import copy_checked, write_pruned
from ..identity import file_checksum, stay_the_same
from .candidates import Candidates
from .recovery import Recovery
from .searches import SEARCHES
from .settings import SipoSettings
from .training import train, write_recipe

_ROUNDING = 1e-9


class SipoRun:
    """One run in a folder; started again, it continues from what the folder holds.

    Args:
        bench: :class:`~fairseq_prune.evaluate.load.Workbench`.
        checkpoint: path of the original model.
        groups: dict of group name -> list of parameter names.
        settings: :class:`~.settings.SipoSettings`.
        folder: of all results.
        data: the DATA argument, for retraining.
        log: keyword arguments of fairseq's progress bar.
        translates: True for an encoder-decoder.

    Attributes:
        limit: the accuracy limit, from the original model's validation accuracy.
        targets: of the validation split (count).
        base: what :meth:`measure` returns for the original model.

    Raises:
        ValueError: the folder holds another run.
    """

    def __init__(
        self,
        bench: Workbench,
        checkpoint: str,
        groups: dict[str, list[str]],
        settings: SipoSettings,
        folder: str,
        data: str,
        log: dict[str, Any],
        translates: bool,
    ):
        self._bench, self._groups, self._settings, self._log = bench, groups, settings, log
        self._checkpoint, self._folder, self._data = checkpoint, folder, data
        self._translates = translates
        self._dense: dict[str, Tensor] | None = None
        inputs = {"checkpoint": file_checksum(checkpoint), "data": os.path.realpath(data)}
        stay_the_same(self.path("inputs.json"), inputs | {"reference": settings.reference})
        self.base = self._once("base.json", lambda: self.measure(checkpoint))
        rise, perplexity = settings.ppl_rise, self.base["valid"]["perplexity"]
        highest = None if rise is None else perplexity * (1 + rise)
        self.limit = Limit(self._reference_accuracy(), settings.drop, highest)
        self.targets = self.base["valid"]["targets"]
        stay_the_same(self.path("settings.json"), self._decisive())

    def _decisive(self):
        """The settings that decide results: all but how many work at it and where it ends."""
        plain = {**asdict(self._settings), "train": list(self._settings.train), "groups": self._groups}
        plain["rounds"] = self._settings.rounds > 0
        if not plain["rounds"]:
            del plain["train"], plain["epochs"], plain["slack"], plain["recover"]
        del plain["workers"]
        return plain

    def _reference_accuracy(self):
        """Accuracy to compare with; the reference cuts a translation model's to a tenth of a point."""
        accuracy, given, drop = self.base["valid"]["accuracy"], self._settings.accuracy, self._settings.drop
        if given is not None:
            if not Limit(given, drop).allows(accuracy):
                raise ValueError(
                    f"--accuracy {given}: the model itself has {accuracy:.4f}, a loss above --max-drop {drop}; "
                    f"give e.g. --accuracy {accuracy:.4f}"
                )
            return given
        return math.floor(accuracy * 1000 + 1e-9) / 1000 if self._settings.reference and self._translates else accuracy

    def path(self, name: str) -> str:
        """A file of the run."""
        return os.path.join(self._folder, name)

    def _once(self, name, compute):
        """The content of a JSON file; computed and written if it is not there."""
        content = read_sealed(self.path(name))
        if content is None:
            content = compute()
            write_sealed(self.path(name), content)
        return content

    def measure(self, checkpoint: str, splits: Sequence[str] = ("valid", "test")) -> dict[str, Any]:
        """Accuracy and perplexity of a checkpoint on the splits that there are, dict of split -> dict."""
        model, results = self._bench.model(checkpoint), {}
        for split in splits:
            if split == "valid" or self._bench.has(split):
                score = self._bench.evaluator(model, split).measure()
                results[split] = score.plain()
        if self._translates and "test" in results:
            results["test"] |= translate(model, self._bench.task, "test", self._settings.reference)
        return results

    def run(self) -> dict[str, Any]:
        """All rounds.

        Returns:
            dict of plain values: ``rounds`` (list of dict), ``stop`` (why it ended: no_feasible, no_gain,
            not_recovered, max_iter), and ``best`` (number of the best round or None).
        """
        rounds: list[dict[str, Any]] = []
        best, start, rates, sigma = None, self._checkpoint, None, self._settings.sigma
        stop = "max_iter"
        for number in range(max(self._settings.rounds, 1)):
            found = self._once(f"search-{number}.json", partial(self._search, number, start, rates, sigma))
            if found["rates"] is None:
                stop = "no_feasible"
                break
            gain = found["removed"] - rounds[-1]["search"]["removed"] if rounds else 1.0
            if gain <= _ROUNDING and not (self._searches_again and gain >= -_ROUNDING):
                stop = "no_gain"
                break
            rates = found["rates"]
            entry = {"round": number, "search": found}
            entry["pruned"] = self._once(
                f"pruned-{number}.json", lambda n=number: self.measure(self.path(f"pruned-{n}.pt"))
            )
            rounds.append(entry)
            if gain <= _ROUNDING:
                sigma = self._rescaled(sigma, entry["pruned"])
                continue
            if not self._settings.rounds:
                best = number
                break
            entry["retrained"] = self._once(f"retrained-{number}.json", partial(self._retrain, number))
            if not entry["retrained"]["recovered"]:
                stop = "not_recovered"
                break
            best, start = number, self.path(f"retrained-{number}.pt")
        return {"rounds": rounds, "stop": stop, "best": best}

    @property
    def _searches_again(self):
        """The reference's language model searches on with other steps where a search removes just as much."""
        return self._settings.reference and self._settings.search == "ncs" and not self._translates

    def _rescaled(self, sigma, pruned):
        """A tenth of the steps where the (test) accuracy is below the original's on valid, else ten times them."""
        accuracy = pruned.get("test", pruned["valid"])["accuracy"]
        return sigma / 10 if accuracy < self.limit.accuracy else sigma * 10

    def best_checkpoint(self, number: int) -> str:
        """Path of a round's result."""
        return self.path(f"retrained-{number}.pt" if self._settings.rounds else f"pruned-{number}.pt")

    def _search(self, number, start, rates, sigma):
        """Search from a checkpoint's weights, and write the pruned model."""
        settings = replace(self._settings, sigma=sigma)
        model = self._bench.model(start)
        weights = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
        table = MagnitudeTable(weights, self._groups)
        evaluator = self._bench.evaluator(model, "valid")
        evaluator.measure()  # learns which words are predicted
        evaluators = [evaluator, *(evaluator.copy() for _ in range(settings.workers - 1))]
        records = Records(self.path(f"search-{number}.jsonl"), self._header(settings, number, table))
        candidates = Candidates(table, self._counting(table), evaluators, self.limit, self.targets, records)
        first = np.full(len(self._groups), settings.start) if rates is None else np.asarray(rates)
        found = SEARCHES[settings.search](candidates, settings, first, self._lowest(table), self._logging(number))
        if found is None:
            return {"rates": None}
        counts = candidates.counts(found)
        removed = table.removed(counts)
        table.write(counts, evaluator.parameters)
        named = dict(evaluator.model.named_parameters(remove_duplicate=False))
        write_pruned(load_checkpoint(start), named, table.masks(counts), self.path(f"pruned-{number}.pt"))
        fractions = {name: removed[name] / group.size for name, group in table.groups.items()}
        write_recipe(self.path(f"rates-{number}.yaml"), self._groups, fractions)
        return {
            "rates": [float(rate) for rate in found], "removed": table.fraction_removed(counts),
            "pruned": sum(removed.values()), "total": table.size, "by_group": fractions,
        }  # fmt: skip

    def _logging(self, number):
        """The progress bar's arguments; in TensorBoard each round is a run of its own."""
        folder = self._log.get("tensorboard_logdir")
        return {**self._log, "tensorboard_logdir": os.path.join(folder, f"round-{number}")} if folder else self._log

    def _lowest(self, table):
        """Lowest rates: the given ones in the reference, else what is removed already."""
        if self._settings.reference:
            return np.full(len(self._groups), self._settings.low)
        return np.array([group.zeros / group.size for group in table.groups.values()])

    def _counting(self, table):
        """The rule from a rate to a number of weights."""
        if not self._settings.reference:
            return lambda rate, name: sound_count(rate, table.groups[name].magnitudes)
        if self._settings.search != "grid":
            return lambda rate, name: reference_count(rate, table.groups[name].magnitudes)
        if self._dense is None:  # the original's grid keeps the thresholds of the dense model
            dense = self._bench.model(self._checkpoint)
            ranked = MagnitudeTable(dict(dense.named_parameters()), self._groups).groups
            self._dense = {name: group.magnitudes for name, group in ranked.items()}
        return lambda rate, name: reference_count(rate, table.groups[name].magnitudes, self._dense[name])

    def _header(self, settings, number, table):
        return {
            "round": number, "search": settings.search, "seed": settings.seed, "reference": settings.reference,
            "accuracy": self.limit.accuracy, "drop": settings.drop, "perplexity": self.limit.perplexity,
            "targets": self.targets, "population": settings.population, "generations": settings.generations,
            "sigma": settings.sigma, "start": settings.start, "low": settings.low, "high": settings.high,
            "groups": {name: group.size for name, group in table.groups.items()},
        }  # fmt: skip

    def _retrain(self, number):
        """Retrain a round's pruned model, and choose the epoch to continue from."""
        settings, folder = self._settings, self.path(f"retrain-{number}")
        train(
            self._data, folder, self.path(f"pruned-{number}.pt"), settings.epochs, settings.train,
            settings.seed, self.path(f"rates-{number}.yaml"),
        )  # fmt: skip
        epochs, scores = self._measure_epochs(folder, settings.epochs)
        chosen = self._select(scores)
        copy_checked(epochs[chosen], self.path(f"retrained-{number}.pt"))
        return {
            "recovered": any(map(self._recovery.reached, scores)), "epoch": chosen + 1,
            "accuracies": [score["accuracy"] for score in scores],
            "perplexities": [score["perplexity"] for score in scores],
            **self.measure(epochs[chosen]),
        }  # fmt: skip

    def _measure_epochs(self, folder, count):
        """Checkpoints of all epochs of a training, and their validation scores (two lists)."""
        paths = [f"{folder}/checkpoint{epoch}.pt" for epoch in range(1, count + 1)]
        return paths, [self.measure(path, ("valid",))["valid"] for path in paths]

    @property
    def _recovery(self):
        perplexity = self.base["valid"]["perplexity"]
        return Recovery(self.limit.accuracy, perplexity, self._settings.slack, self._settings.recover)

    def _select(self, scores):
        """Index of the epoch to continue from: the best.

        The reference's grid, and its translation, stop at the first that recovered; else it takes the last.
        """
        if not self._settings.reference:
            return self._recovery.best(scores)
        recovered = [i for i, score in enumerate(scores) if self._recovery.reached(score)]
        stops = self._settings.search == "grid" or self._translates
        return recovered[0] if recovered and stops else len(scores) - 1

    def dense_control(self, epochs: int) -> dict[str, Any]:
        """The original model trained without pruning for as many epochs, measured at its best epoch."""
        settings, folder = self._settings, self.path("dense")

        def control():
            train(self._data, folder, self._checkpoint, epochs, settings.train, settings.seed)
            paths, scores = self._measure_epochs(folder, epochs)
            best = max(range(epochs), key=lambda epoch: scores[epoch]["accuracy"])
            return {"epochs": epochs, "epoch": best + 1, **self.measure(paths[best])}

        return self._once(f"dense-{epochs}.json", control)
