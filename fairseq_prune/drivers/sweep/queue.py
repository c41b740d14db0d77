"""Which trial is next: those that killed processes left, then new ones; each is taken by one process."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from io import BufferedRandom
from typing import TYPE_CHECKING, Any

from ...files.locks import Taken, open_locked, wait_locked
from .journal import open_journal
from .recipe import Cell, SweepRecipe

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial, Trial

_ALIKE = 3  # trials that are trained whole before any is stopped


@dataclass
class Job:
    """A trial in this process's hands.

    Args:
        cell: what is trained.
        seed: of the training.
        options: dict of option -> value, found or drawn by a search.
        trial: Optuna's.
        study: that it is of.
        folder: of the training.
        stoppable: True while a search goes on.
        claim: locked file; the lock ends with this process.
    """

    cell: Cell
    seed: int
    options: dict[str, Any]
    trial: Trial
    study: Study
    folder: str
    stoppable: bool
    claim: BufferedRandom

    @property
    def name(self) -> str:
        """As it is shown."""
        return os.path.relpath(self.folder, os.path.dirname(os.path.dirname(self.folder)))

    def tell(self, value: float | None, **found: Any) -> None:
        """Write down how it ended, and let it go.

        Args:
            value: to be minimised; None: it was stopped early.
            found: plain values beside it.
        """
        from optuna.trial import TrialState

        for name, each in found.items():
            self.trial.set_user_attr(name, each)
        self.study.tell(self.trial, value, TrialState.PRUNED if value is None else TrialState.COMPLETE)
        self.release()

    def release(self) -> None:
        """Let it go as it is: whoever takes it next goes on with it."""
        self.claim.close()


class Queue:
    """The trials of a sweep in its folder, one study a cell.

    Args:
        folder: of all results.
        recipe: of the sweep.
    """

    def __init__(self, folder: str, recipe: SweepRecipe):
        self._folder, self._recipe, self.cells = folder, recipe, recipe.cells()
        storage = open_journal(os.path.join(folder, "journal.jsonl"))
        with self._turn():
            self._studies = {cell.name: _study(storage, cell, recipe) for cell in self.cells}

    @property
    def count(self) -> int:
        """Trials of the whole sweep."""
        return len(self.cells) * self._each

    @property
    def _each(self):
        space, seeds = self._recipe.search, len(self._recipe.seeds)
        return space.trials + seeds - 1 if space else seeds

    def trials(self, cell: Cell) -> Sequence[FrozenTrial]:
        """All that were begun of a cell, in order."""
        return self._studies[cell.name].get_trials(deepcopy=False)

    def ended(self) -> int:
        """Trials that are over (count)."""
        return sum(trial.state.is_finished() for cell in self.cells for trial in self.trials(cell))

    def running(self, skipped: set[str]) -> int:
        """Trials that are begun and not over (count), but for those in skipped folders."""
        return len(self._open(skipped))

    def seed_of(self, number: int) -> int:
        """Seed of a cell's trial: a search has the first, and its winner gets the others."""
        space, seeds = self._recipe.search, self._recipe.seeds
        return seeds[max(0, number - space.trials + 1) if space else number]

    def take(self, skipped: set[str]) -> Job | None:
        """The next trial for this process, or None: there is none, or others have what is left.

        Args:
            skipped: folders of trials that failed here.
        """
        with self._turn():
            return self._take_up(skipped) or self._begin()

    def _turn(self):
        return wait_locked(os.path.join(self._folder, "turn.lock"))

    def _take_up(self, skipped):
        """A trial that is not over, and that no living process has."""
        for cell, trial in self._open(skipped):
            if job := self._claim(cell, trial.number, trial._trial_id):
                return job
        return None

    def _open(self, skipped):
        """Trials that are begun and not over, with their cells."""
        pairs = [(cell, trial) for cell in self.cells for trial in self.trials(cell) if not trial.state.is_finished()]
        return [(cell, trial) for cell, trial in pairs if self._place(cell, trial.number) not in skipped]

    def _begin(self):
        for cell in self.cells:
            number, study = len(self.trials(cell)), self._studies[cell.name]
            if number < self._each and self._may_begin(cell, number):
                return self._claim(cell, number, study.ask()._trial_id)
        return None

    def _may_begin(self, cell, number):
        """The winner of a search is known when all its trials are over."""
        space = self._recipe.search
        if not space or number < space.trials:
            return True
        return all(trial.state.is_finished() for trial in self.trials(cell)[: space.trials])

    def _claim(self, cell, number, trial_id):
        from optuna.trial import Trial

        folder = self._place(cell, number)
        os.makedirs(os.path.dirname(folder), exist_ok=True)
        try:
            claim = open_locked(f"{folder}.lock")
        except Taken:
            return None
        study = self._studies[cell.name]
        study.sampler = _sampler(self._recipe.seeds[0], number)
        trial, space = Trial(study, trial_id), self._recipe.search
        searches = space is not None and number < space.trials
        options = space.draw(trial) if space and searches else self.best_options(cell)
        return Job(cell, self.seed_of(number), options, trial, study, folder, searches, claim)

    def best_options(self, cell: Cell) -> dict[str, Any]:
        """What the search of a cell has found; empty without a search."""
        best = best_of(self.trials(cell)[: self._recipe.search.trials]) if self._recipe.search else None
        return dict(best.params) if best else {}

    def _place(self, cell, number):
        return os.path.join(self._folder, cell.name, f"{number}-seed-{self.seed_of(number)}")


def complete(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """The trials that were trained to their end."""
    return [trial for trial in trials if trial.state.name == "COMPLETE"]


def best_of(trials: Sequence[FrozenTrial]) -> FrozenTrial | None:
    """The first trial that has the smallest value; None while none was trained to its end."""
    return min(complete(trials), key=lambda trial: trial.values[0], default=None)


def _study(storage, cell, recipe):
    import optuna

    warm_up = recipe.search.warm_up if recipe.search else 0
    pruner = optuna.pruners.MedianPruner(n_startup_trials=_ALIKE, n_warmup_steps=warm_up)
    return optuna.create_study(storage=storage, study_name=cell.name, pruner=pruner, load_if_exists=True)


def _sampler(seed, number):
    """What is drawn depends on what is known then, and not on which process draws it."""
    from optuna.samplers import TPESampler

    return TPESampler(n_startup_trials=5, seed=(seed * 1000003 + number) % 2**32)
