"""Rows of the comparison, as they are measured."""

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from itertools import product
from typing import Any

from ...checkpoint.tensors import tensor_rows
from ...compat import load_checkpoint
from ...deploy.describers import describe_model
from ...deploy.runtimes.runtime import Subject, load_runtimes
from ...report.cost import count_macs
from .beside import First, Timed, time_beside

LENGTHS = 25, 25  # source and target tokens of the sentence whose MACs are counted, as in inspect
Start = Callable[[dict[str, Any]], Timed]  # of a request


class Comparison:
    """Rows, what could not be measured, and the runtime of the first row, which stays alive until :meth:`close`.

    Args:
        start: function that loads a runtime.
        beams: of translations (counts).
        sizes: of batches (counts).
        count: of sentences, rows or images.

    Attributes:
        rows: dicts of plain values.
        notes: dicts of ``checkpoint``, ``runtime`` and ``reason``.
    """

    def __init__(self, start: Start, beams: Sequence[int], sizes: Sequence[int], count: int):
        self._start, self._beams, self._sizes, self._count = start, beams, sizes, count
        self._first: First | None = None
        self.rows: list[dict[str, Any]] = []
        self.notes: list[dict[str, str]] = []

    def note(self, name: str, runtime: str, reason: str) -> None:
        """Say why something is not there."""
        self.notes.append({"checkpoint": name, "runtime": runtime, "reason": reason})

    def add(self, name: str, subject: Subject, split: str, runtime: str) -> None:
        """Measure a runtime on a checkpoint with every beam and batch size, or note why it cannot run it."""
        reasons = {beam: load_runtimes()[runtime].why_not(subject, beam) for beam in self._beams}
        for reason in dict.fromkeys(filter(None, reasons.values())):
            self.note(name, runtime, reason)
        if beams := [beam for beam, reason in reasons.items() if reason is None]:
            try:
                self.rows += self._measure(name, subject, split, runtime, beams)
            except ValueError as error:
                self.note(name, runtime, str(error).removeprefix(f"{subject.path}: "))

    def close(self) -> None:
        """End what stayed alive."""
        if self._first:
            self._first.trial.close()

    def _measure(self, name, subject, split, runtime, beams):
        """Rows of a runtime.

        Raises:
            ValueError: it cannot run the checkpoint.
        """
        table = load_runtimes()
        with tempfile.TemporaryDirectory(prefix="fairseq-prune-bench-") as folder:
            path = table[runtime].prepare(subject, folder)
            cut = path if path.endswith(".pt") else subject.path
            macs, size = _macs(cut, table[runtime].leaves_out()), _bytes(path)
            there = asdict(replace(subject, path=os.path.abspath(subject.path)))
            request = {"subject": there, "runtime": runtime, "path": os.path.abspath(path), "split": split}
            trial = self._start({**request, "count": self._count, "sizes": list(self._sizes)})
            try:
                times, memory = list(self._times(trial, beams)), trial.memory()
            except ValueError:
                trial.close()
                raise
        if self._first is None:
            self._first = First(trial, beams[0])
        else:
            trial.close()
        what = {"name": name, "checkpoint": subject.path, "runtime": runtime, "bytes": size, "macs": macs, **memory}
        silent = {} if subject.kind == "translation" else {"beam": None}
        return [{**what, **time, **silent} for time in times]

    def _times(self, trial, beams) -> Iterator[dict[str, Any]]:
        first = self._first or First(trial, beams[0])
        for beam, size in product(beams, self._sizes):
            times = time_beside(first, trial, beam, size)
            yield {"beam": beam, "batch_size": size, **times, **trial.quality(size)}


def _bytes(path):
    """Bytes of a file, or of all files in a folder."""
    entries: Iterable[Any] = os.scandir(path) if os.path.isdir(path) else [path]
    return sum(os.stat(entry).st_size for entry in entries)


def _macs(path, leaves_out):
    """Multiply-accumulates of a sentence or image, as inspect counts them; None where the family is not known."""
    state = load_checkpoint(path)
    if total := describe_model(state).get("total"):
        return total["macs"]
    sizes = {name: row.nonzero for row in tensor_rows(state["model"]) for name in (row.name, *row.aliases)}
    return count_macs(state["model"], *LENGTHS, sizes=sizes if leaves_out else None)[1]
