"""The comparison: every runtime on every checkpoint, one after the other."""

import os
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from ...checkpoint.load import has_split, load_model, load_task
from ...checkpoint.tensors import tensor_rows
from ...compat import load_checkpoint
from ...deploy.runtimes.runtime import Subject, load_runtimes
from ...deploy.runtimes.work import WORKS, kind_of
from .child import Child
from .comparison import Comparison
from .patterns import patterns_in

BEAM = 5
Say = Callable[[str], None]


@dataclass(frozen=True)
class BenchSettings:
    """What to compare.

    Args:
        checkpoints: paths, or ``NAME=PATH``.
        runtimes: names in :data:`~fairseq_prune.deploy.runtimes.runtime.RUNTIMES`; (): all.
        sizes: of batches (counts).
        count: of sentences, rows or images.
        data: the DATA argument; None: that of the first checkpoint's training.
        split: of the data; None: test, or valid where there is none.
        device: "cpu" or "cuda".
        beams: of translations (counts); (): :data:`BEAM`.
        threads: of the processor (count); None: as many as torch takes.
    """

    checkpoints: Sequence[str]
    runtimes: Sequence[str] = ()
    sizes: Sequence[int] = (1, 32)
    count: int = 128
    data: str | None = None
    split: str | None = None
    device: str = "cpu"
    beams: Sequence[int] = ()
    threads: int | None = None

    def __post_init__(self):
        for option, values in (
            ("batch-sizes", self.sizes),
            ("sentences", [self.count]),
            ("beam", self.beams or [BEAM]),
            ("threads", [1 if self.threads is None else self.threads]),
        ):
            if not values or min(values) < 1:
                raise ValueError(f"--{option} {','.join(map(str, values))}: give 1 or more, e.g. --{option} 5")
        if self.device not in ("cpu", "cuda"):
            raise ValueError(f"--device {self.device}: give cpu or cuda, e.g. --device cpu")
        if self.device == "cuda" and not torch.cuda.is_available():
            raise ValueError("--device cuda: torch finds no GPU here; give --device cpu")
        known = load_runtimes()
        for name in self.runtimes:
            known[name]  # refuses an unknown one
        names = [name_and_path(word)[0] for word in self.checkpoints]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"CHECKPOINT {twice}: named twice; give each a name of its own, e.g. cut=cut.pt")


def name_and_path(word: str) -> tuple[str, str]:
    """(Name, path) of a CHECKPOINT given as ``NAME=PATH``, or as a path, which is then its name, too."""
    name, equals, path = word.partition("=")
    return (name, path) if name and equals and not os.path.exists(word) else (word, word)


def bench(settings: BenchSettings, say: Say) -> dict[str, Any]:
    """Measure all.

    Args:
        settings: :class:`BenchSettings`.
        say: function that shows a line of progress.

    Returns:
        dict of plain values: ``unit``, ``threads``, ``rows`` (a dict for each checkpoint, runtime, beam and batch size)
        and ``notes`` (what cannot be run or cannot be faster, and why).

    Raises:
        ValueError: a checkpoint that is none, data or split that are not there, or models of several kinds.
    """
    subjects = [(name, *_subject(path, settings)) for name, path in map(name_and_path, settings.checkpoints)]
    if len(kinds := sorted({subject.kind for _, subject, _ in subjects})) > 1:
        raise ValueError(
            f"CHECKPOINT {' '.join(settings.checkpoints)}: models of several kinds: {', '.join(kinds)}; "
            "give those of one"
        )
    if settings.beams and kinds != ["translation"]:
        beams = ",".join(map(str, settings.beams))
        raise ValueError(f"--beam {beams}: has no effect here; leave it out, or give a model that translates")
    threads = settings.threads or torch.get_num_threads()
    runtimes = list(settings.runtimes) or list(load_runtimes())
    jobs = [(*subject, runtime) for subject in subjects for runtime in runtimes]
    start = partial(_start, threads)
    with closing(Comparison(start, settings.beams or [BEAM], settings.sizes, settings.count)) as comparison:
        for number, (name, subject, split, runtime) in enumerate(jobs, 1):
            say(f"{number} of {len(jobs)}: {name}, {runtime}")
            comparison.add(name, subject, split, runtime)
    for name, subject, _ in subjects:
        for reason in patterns_in(load_checkpoint(subject.path)["model"]):
            comparison.note(name, "", reason)
    rows = [_expected(row, comparison.rows[0]) for row in comparison.rows]
    return {"unit": WORKS[kinds[0]].unit, "threads": threads, "rows": rows, "notes": comparison.notes}


def _start(threads, request):
    return Child({**request, "threads": threads})


def _expected(row, first):
    """A row with how much faster MACs say that it is; they are those of one sentence, so of the same beam."""
    known = first["macs"] and row["macs"] and first["beam"] == row["beam"]
    return {**row, "expected": first["macs"] / row["macs"] if known else None}


def _subject(path, settings):
    """A checkpoint and the split that it runs on."""
    state = load_checkpoint(path)
    task, config = load_task(path, settings.data)
    split = _split(task, config, settings)
    model = load_model(path, task).eval()
    rows = [row for row in tensor_rows(state["model"]) if row.prunable and "embed" not in row.name]
    removed = 1 - sum(row.nonzero for row in rows) / max(1, sum(row.params for row in rows))
    kind = kind_of(model, task, split)
    return Subject(path, kind, removed, settings.data, settings.device), split


def _split(task, config, settings):
    wanted = [settings.split] if settings.split else ["test", config.dataset.valid_subset.split(",")[0]]
    for split in wanted:
        if has_split(task, split):
            return split
    raise ValueError(f"--split {wanted[-1]}: the data have none such; give e.g. --split valid")
