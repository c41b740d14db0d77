"""A sweep: trains and judges trials until none is left."""

import os
import time
from collections.abc import Callable
from typing import Any

from ...files.json_file import read_sealed, write_json, write_sealed
from ...files.locks import wait_locked
from ..identity import file_checksum, stay_the_same
from ..training import option_of
from .logged import train_logged, validation_losses
from .quality import higher_is_better, measure
from .queue import Job, Queue, best_of, complete
from .recipe import SweepRecipe

_WAIT = 2.0  # seconds, for what other processes train
Say = Callable[[str], None]


class Sweep:
    """One sweep in a folder, which several processes may share; started again, it goes on.

    Args:
        recipe: what is trained.
        folder: of all results.
        say: function that shows a line of progress.

    Raises:
        ValueError: the folder holds a sweep of another recipe.
    """

    def __init__(self, recipe: SweepRecipe, folder: str, say: Say):
        self._recipe, self._folder, self._say = recipe, folder, say
        os.makedirs(folder, exist_ok=True)
        content = recipe.plain() | {"checkpoint": file_checksum(recipe.checkpoint)}
        with wait_locked(os.path.join(folder, "turn.lock")):
            stay_the_same(os.path.join(folder, "sweep.json"), content)
        self._queue = Queue(folder, recipe)
        self._failed: dict[str, str] = {}

    def run(self) -> str:
        """Train until nothing is left, here or elsewhere.

        Returns:
            What is to be said of trainings that failed, str; the others are done.

        Raises:
            ValueError: the first training of all failed.
        """
        while True:
            others = self._queue.running(set(self._failed))
            if job := self._queue.take(set(self._failed)):
                self._try(job)
            elif others:
                time.sleep(_WAIT)
            else:
                break
        if not self._failed:
            return ""
        name, reason = next(iter(self._failed.items()))
        return (
            f"{len(self._failed)} of {self._queue.count} trials failed, and are tried again by the same command; "
            f"the first, {name}: {reason}"
        )

    def _try(self, job):
        try:
            self._train(job)
        except ValueError as error:
            if not self._queue.ended():
                raise
            self._failed[job.folder] = str(error)
            self._say(f"{job.name}: failed, {error}")
        finally:
            job.release()

    def _train(self, job: Job) -> None:
        start, count = time.monotonic(), self._queue.count
        known = "".join(f" {option} {value}" for option, value in job.options.items())
        self._say(f"{self._queue.ended() + 1} of {count}: {job.name}{known}")
        words = self._words(job)
        if not train_logged(self._recipe.data, job.folder, words, lambda: self._hopeless(job)):
            job.tell(None)
            self._say(f"{job.name}: stopped early, {time.monotonic() - start:.0f} s")
            return
        metric = self._recipe.metric
        found = measure(os.path.join(job.folder, "checkpoint_best.pt"), metric, self._recipe.data)
        job.tell(-found["quality"] if higher_is_better(metric) else found["quality"], **found)
        self._say(f"{job.name}: {metric} {found['quality']:.4f}, {time.monotonic() - start:.0f} s")

    def _words(self, job):
        own = ["--finetune-from-model", self._recipe.checkpoint, "--seed", job.seed]
        own += ["--no-epoch-checkpoints", "--log-format", "json"]
        found = [word for option, value in job.options.items() for word in (option, value)]
        return [*self._recipe.train, *job.cell.words, *found, *own]

    def _hopeless(self, job):
        """Tell Optuna of each validation once, and ask it."""
        if not job.stoppable:
            return False
        subset = (option_of(self._recipe.train, "--valid-subset") or "valid").split(",")[0]
        told = self._queue.trials(job.cell)[job.trial.number].intermediate_values
        new = [(step, loss) for step, loss in validation_losses(job.folder, subset) if step not in told]
        for step, loss in dict(new).items():
            job.trial.report(loss, step)
        return bool(new) and job.trial.should_prune()

    def report(self) -> dict[str, Any]:
        """What is known so far, as plain values.

        Returns:
            dict of ``metric``, ``budget``, ``higher_is_better``, ``ended`` and ``count`` (of trials), ``dense`` (the
            checkpoint's own quality) and ``cells``: for each ``method``, ``control`` (whether it removes at
            random), ``target``, ``options`` (found by a search), ``stopped`` (count) and ``trials``, list of dict of
            ``seed``, ``quality``, ``removed`` (fraction of the dense model's weights that are zero or gone).
        """
        dense = self._dense()
        cells = [self._cell(cell, dense["nonzero"]) for cell in self._queue.cells]
        recipe = self._recipe
        return {
            "metric": recipe.metric, "budget": recipe.budget, "higher_is_better": higher_is_better(recipe.metric),
            "ended": self._queue.ended(), "count": self._queue.count, "dense": dense["quality"], "cells": cells,
        }  # fmt: skip

    def _cell(self, cell, weights):
        trials, space = self._queue.trials(cell), self._recipe.search
        shown = complete(trials)
        if space:  # the winner, and what was trained as it was
            best = best_of(trials[: space.trials])
            shown = ([best] if best else []) + complete(trials[space.trials :])
        return {
            "method": cell.method,
            "control": self._recipe.is_control(cell.method),
            "target": cell.target,
            "options": self._queue.best_options(cell),
            "stopped": sum(trial.state.name == "PRUNED" for trial in trials),
            "trials": [
                {
                    "seed": self._queue.seed_of(trial.number),
                    "quality": trial.user_attrs["quality"],
                    "removed": 1 - trial.user_attrs["nonzero"] / weights,
                }
                for trial in shown
            ],
        }

    def _dense(self):
        """The dense checkpoint is measured once."""
        path = os.path.join(self._folder, "dense.json")
        with wait_locked(f"{path}.lock"):
            found = read_sealed(path)
            if found is None:
                found = measure(self._recipe.checkpoint, self._recipe.metric, self._recipe.data)
                write_sealed(path, found)
        return found

    def write(self, report: dict[str, Any], draw: Callable[[dict[str, Any], str], None]) -> None:
        """Put a report into the folder, as table.json and as a figure; processes that end together take turns.

        Args:
            report: of :meth:`report`.
            draw: function of it and of the folder.
        """
        with wait_locked(os.path.join(self._folder, "turn.lock")):
            write_json(os.path.join(self._folder, "table.json"), report)
            draw(report, self._folder)
