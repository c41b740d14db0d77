"""The retraining within a round, and its dense control."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..checkpoints import copy_checked
from .job import SipoJob
from .recovery import Recovery
from .training import train


class Retraining:
    """Retrains pruned models until they recover.

    Args:
        job: :class:`~.job.SipoJob`.
        recovery: what an epoch has to reach.
    """

    def __init__(self, job: SipoJob, recovery: Recovery):
        self._job, self._recovery = job, recovery

    def __call__(self, number: int) -> dict[str, Any]:
        """Retrain a round's pruned model, and choose the epoch to continue from.

        Args:
            number: of the round, from 0.

        Returns:
            dict of plain values: ``recovered``, ``epoch``, the scores of all epochs, and measures of the chosen one.
        """
        settings, folder = self._job.settings, self._job.path(f"retrain-{number}")
        train(
            self._job.data, folder, self._job.path(f"pruned-{number}.pt"), settings.epochs, settings.train,
            settings.seed, self._job.path(f"rates-{number}.yaml"),
        )  # fmt: skip
        epochs, scores = self._measure_epochs(folder, settings.epochs)
        chosen = self.select(scores)
        copy_checked(epochs[chosen], self._job.path(f"retrained-{number}.pt"))
        return {
            "recovered": any(map(self._recovery.reached, scores)), "epoch": chosen + 1,
            "accuracies": [score["accuracy"] for score in scores],
            "perplexities": [score["perplexity"] for score in scores],
            **self._job.measure(epochs[chosen]),
        }  # fmt: skip

    def _measure_epochs(self, folder, count):
        """Checkpoints of all epochs of a training, and their validation scores (two lists)."""
        paths = [f"{folder}/checkpoint{epoch}.pt" for epoch in range(1, count + 1)]
        return paths, [self._job.measure(path, ("valid",))["valid"] for path in paths]

    def select(self, scores: Sequence[Mapping[str, float]]) -> int:
        """Index of the epoch to continue from: the best.

        The reference's grid, and its translation, stop at the first that recovered; else it takes the last.
        """
        if not self._job.settings.reference:
            return self._recovery.best(scores)
        recovered = [i for i, score in enumerate(scores) if self._recovery.reached(score)]
        stops = self._job.settings.search == "grid" or self._job.translates
        return recovered[0] if recovered and stops else len(scores) - 1

    def dense_control(self, epochs: int) -> dict[str, Any]:
        """The original model trained without pruning for as many epochs, measured at its best epoch."""
        settings, folder = self._job.settings, self._job.path("dense")

        def control():
            train(self._job.data, folder, self._job.checkpoint, epochs, settings.train, settings.seed)
            paths, scores = self._measure_epochs(folder, epochs)
            best = max(range(epochs), key=lambda epoch: scores[epoch]["accuracy"])
            return {"epochs": epochs, "epoch": best + 1, **self._job.measure(paths[best])}

        return self._job.once(f"dense-{epochs}.json", control)
