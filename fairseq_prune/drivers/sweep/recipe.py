"""The recipe of a sweep: what is trained, and what it is judged by."""

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, NoReturn, Self

import yaml

from ...methods.table import METHODS
from ...pruning.registry import closest
from ..training import check_words, has_option, option_of
from .quality import METRICS
from .space import Space, read_space

_OWN = """--save-dir --restore-file --finetune-from-model --no-epoch-checkpoints --user-dir --seed --log-format
    --log-file""".split()
_KEPT = """--no-save --no-last-checkpoints --disable-validation --checkpoint-suffix --reset-optimizer
    --reset-lr-scheduler --reset-dataloader --reset-meters --no-save-optimizer-state""".split()
_WHY = "a trial is judged by its best checkpoint, and resumed from its last one; leave it out"
_BUDGETS = ("target", "params-left", "macs-left")
_EXAMPLES = {
    "data": "data: data-bin/mine",
    "checkpoint": "checkpoint: checkpoints/dense/checkpoint_best.pt",
    "train": "train: --task prune_translation --arch transformer --max-update 2000",
    "methods": "methods: {magnitude: , movement: --prune-end 1000up}",
    "targets": "targets: [0.5, 0.8]",
    "seeds": "seeds: [1, 2, 3]",
    "budget": "budget: target",
    "metric": "metric: test_bleu",
    "search": "search: {trials: 20, space: {--lr: [0.0001, 0.01, log]}}",
}


@dataclass(frozen=True)
class Cell:
    """What is trained with every seed: a method at a target.

    Args:
        method: its name in the recipe.
        target: number in [0, 1]; None: of a method that removes nothing.
        words: options of fairseq-train that make it so.
    """

    method: str
    target: float | None
    words: tuple[str, ...]

    @property
    def name(self) -> str:
        """Name of the cell's folder and of its study."""
        return self.method if self.target is None else f"{self.method}-{self.target:g}"


@dataclass(frozen=True)
class SweepRecipe:
    """A sweep.

    Args:
        data: the DATA argument.
        checkpoint: path of the dense one that every trial starts from.
        train: options of fairseq-train that all trials have.
        methods: dict of name -> options of fairseq-train that only its trials have.
        targets: numbers.
        seeds: whole numbers.
        budget: what targets are numbers of, one of ``target``, ``params-left``, ``macs-left``.
        metric: what trials are judged by, in :data:`~.quality.METRICS`.
        search: None: every cell is trained as it is.
    """

    data: str
    checkpoint: str
    train: tuple[str, ...]
    methods: Mapping[str, tuple[str, ...]]
    targets: tuple[float, ...]
    seeds: tuple[int, ...] = (1,)
    budget: str = "target"
    metric: str = "loss"
    search: Space | None = None

    @classmethod
    def read(cls, path: str) -> Self:
        """Read and check a YAML file.

        Raises:
            ValueError: no such file, or a key or value that is none; names it and a valid example.
        """
        content = _mapping(path)
        known = [field.name for field in fields(cls)]
        for key in content:
            if key not in known:
                raise ValueError(f"RECIPE {path}: unknown key {key!r}{closest(key, known)}; known: {', '.join(known)}")
        for key in known[:5]:
            if content.get(key) is None:
                raise ValueError(f"RECIPE {path}: {key} is missing; add e.g. {_EXAMPLES[key]}")
        given = {key: value for key, value in content.items() if value is not None}
        try:
            recipe = cls(**{key: _READERS[key](value) for key, value in given.items()})
            recipe._check()
        except ValueError as error:
            raise ValueError(f"RECIPE {path}: {error}") from None
        return recipe

    def _check(self):
        if not os.path.isfile(self.checkpoint):
            raise ValueError(f"checkpoint {self.checkpoint}: no such file; write e.g. {_EXAMPLES['checkpoint']}")
        refused = dict.fromkeys(_KEPT, _WHY)
        check_words(self.train, "sweep", _OWN, refused, {"--task": "prune_translation", "--arch": "transformer"})
        if self.metric == "loss" and option_of(self.train, "--best-checkpoint-metric") not in (None, "loss"):
            raise ValueError("metric loss: --best-checkpoint-metric of train is another; give that as metric")
        if not any(has_option(self.train, option) for option in ("--max-update", "--max-epoch")):
            raise ValueError("train: trainings need an end; add e.g. --max-update 2000")
        for name, words in self.methods.items():
            METHODS[option_of(words, "--prune-method") or name]  # refuses an unknown one
            self._refuse_own(f"methods, {name}", words)
        if self.search:
            self._refuse_own("search", self.search.options)

    def _refuse_own(self, where, words):
        for word in words:
            if word.partition("=")[0] in (*_OWN, *_KEPT, f"--prune-{self.budget}"):
                raise ValueError(f"{where}: {word} is set by the sweep itself, or loses its trials; leave it out")

    def cells(self) -> list[Cell]:
        """All cells, so that every method is met early."""
        found = {}
        for target in self.targets:
            for name, given in self.methods.items():
                words = given if option_of(given, "--prune-method") else ("--prune-method", name, *given)
                dense = option_of(words, "--prune-method") == "none"
                asked = () if dense else (f"--prune-{self.budget}", str(target))
                cell = Cell(name, None if dense else target, (*words, *asked))
                found[cell.name] = cell
        return list(found.values())

    def is_control(self, name: str) -> bool:
        """Whether a method's trials remove at random, which every other method is compared with.

        Args:
            name: of the method in the recipe.
        """
        words = self.methods[name]
        row = METHODS[option_of(words, "--prune-method") or name]
        importance = option_of((*self.train, *words), "--prune-importance") or row.importance
        return importance == "random" and row.approach is None  # drop-and-grow only starts from a random selection

    def plain(self) -> dict[str, Any]:
        """What the trials depend on, as plain values."""
        return {
            "data": self.data,
            "train": list(self.train),
            "methods": {name: list(words) for name, words in self.methods.items()},
            "targets": list(self.targets),
            "seeds": list(self.seeds),
            "budget": self.budget,
            "metric": self.metric,
            "search": self.search and self.search.plain(),
        }


def _mapping(path):
    try:
        with open(path, encoding="utf-8") as file:
            content = yaml.safe_load(file)
    except OSError as error:
        raise ValueError(f"RECIPE {path}: {error.strerror}; give a file, e.g. recipes/sweeps/demo.yaml") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ValueError(f"RECIPE {path}: not YAML, {str(error).splitlines()[0]}; see docs/sweep.md") from None
    if not isinstance(content, dict):
        raise ValueError(f"RECIPE {path}: write one 'key: value' a line, e.g. {_EXAMPLES['data']}")
    return content


def _refuse(key, value) -> NoReturn:
    raise ValueError(f"{key}: cannot read {str(value)[:60]!r}; write e.g. {_EXAMPLES[key]}")


def _text(key):
    return lambda value: value if isinstance(value, str) and value else _refuse(key, value)


def _one_of(key, known):
    def read(value):
        if value not in known:
            raise ValueError(f"{key} {value}: unknown{closest(value, known)}; known: {', '.join(known)}")
        return value

    return read


def _words(key, text):
    if not isinstance(text, str):
        _refuse(key, text)
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise ValueError(f"{key}: {error} in {text[:60]!r}; write e.g. {_EXAMPLES[key]}") from None


def _methods(value):
    if isinstance(value, list) and all(isinstance(name, str) for name in value):
        value = dict.fromkeys(value)
    if not isinstance(value, dict) or not value or not all(_is_name(name) for name in value):
        _refuse("methods", value)
    return {name: _words("methods", text or "") for name, text in value.items()}


def _is_name(name):
    """A folder is called so."""
    return isinstance(name, str) and name and not set(name) & set("/\\") and name[0] != "."


def _numbers(key, kinds, low, high):
    def read(value):
        fits = isinstance(value, list) and value and len(set(map(str, value))) == len(value)
        if not fits or not all(type(number) in kinds and low <= number <= high for number in value):
            _refuse(key, value)
        return tuple(value)

    return read


def _search(value):
    return read_space(value, _EXAMPLES["search"])


_READERS = {
    "data": _text("data"),
    "checkpoint": _text("checkpoint"),
    "train": lambda value: _words("train", value),
    "methods": _methods,
    "targets": _numbers("targets", (int, float), 0, 1),
    "seeds": _numbers("seeds", (int,), 0, 2**32 - 1),
    "budget": _one_of("budget", _BUDGETS),
    "metric": _one_of("metric", METRICS),
    "search": _search,
}
