"""The comparison: every runtime on every checkpoint, one after the other."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from ...checkpoint.load import load_model, load_task
from ...checkpoint.tensors import tensor_rows
from ...compat import load_checkpoint
from ...deploy.describers import describe_model
from ...deploy.runtimes.runtime import Subject, load_runtimes
from ...deploy.runtimes.work import WORKS, batches_of, kind_of
from ...files.json_file import read_json
from ...report.cost import count_macs
from ..child import ends_with
from .patterns import patterns_in

LENGTHS = 25, 25  # source and target tokens of the sentence whose MACs are counted, as in inspect
BEAM = 5
Say = Callable[[str], None]


@dataclass(frozen=True)
class Asked:
    """What to compare.

    Args:
        checkpoints: paths.
        runtimes: names in :data:`~fairseq_prune.deploy.runtimes.runtime.RUNTIMES`; (): all.
        sizes: of batches (counts).
        count: of sentences, rows or images.
        data: the DATA argument; None: that of the first checkpoint's training.
        split: of the data; None: test, or valid where there is none.
        device: "cpu" or "cuda".
        beam: of translations (count); None: :data:`BEAM`.
    """

    checkpoints: Sequence[str]
    runtimes: Sequence[str] = ()
    sizes: Sequence[int] = (1, 32)
    count: int = 128
    data: str | None = None
    split: str | None = None
    device: str = "cpu"
    beam: int | None = None

    def __post_init__(self):
        for option, values in (
            ("batch-sizes", self.sizes),
            ("sentences", [self.count]),
            ("beam", [BEAM if self.beam is None else self.beam]),
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


def bench(asked: Asked, say: Say) -> dict[str, Any]:
    """Measure all.

    Args:
        asked: :class:`Asked`.
        say: function that shows a line of progress.

    Returns:
        dict of plain values: ``unit``, ``rows`` (a dict for each checkpoint, runtime and batch size) and ``notes``
        (what cannot be run or cannot be faster, and why).

    Raises:
        ValueError: a checkpoint that is none, data or split that are not there, or models of several kinds.
    """
    names = list(asked.runtimes) or list(load_runtimes())
    subjects = [_subject(path, asked) for path in asked.checkpoints]
    if len(kinds := sorted({subject.kind for subject, _ in subjects})) > 1:
        raise ValueError(f"CHECKPOINT {' '.join(asked.checkpoints)}: models of several kinds: {', '.join(kinds)}")
    if asked.beam is not None and kinds != ["translation"]:
        raise ValueError(f"--beam {asked.beam}: has no effect here; leave it out, or give a model that translates")
    rows: list[dict[str, Any]] = []
    notes = []
    jobs = [(subject, split, name) for subject, split in subjects for name in names]
    for number, (subject, split, name) in enumerate(jobs, 1):
        say(f"{number} of {len(jobs)}: {subject.path}, {name}")
        try:
            rows += _measure(subject, split, name, asked)
        except ValueError as error:
            reason = str(error).removeprefix(f"{subject.path}: ")
            notes.append({"checkpoint": subject.path, "runtime": name, "reason": reason})
    notes += [
        note for subject, _ in subjects for note in patterns_in(subject.path, load_checkpoint(subject.path)["model"])
    ]
    return {"unit": WORKS[kinds[0]].unit, "rows": _compared(rows), "notes": notes}


def _subject(path, asked):
    """A checkpoint and the split that it runs on."""
    state = load_checkpoint(path)
    task, config = load_task(path, asked.data)
    split = _split(task, config, asked)
    model = load_model(path, task).eval()
    rows = [row for row in tensor_rows(state["model"]) if row.prunable and "embed" not in row.name]
    removed = 1 - sum(row.nonzero for row in rows) / max(1, sum(row.params for row in rows))
    kind = kind_of(model, batches_of(task, split, 1, 1)[0])
    return Subject(path, kind, removed, asked.data, asked.device, asked.beam or BEAM), split


def _split(task, config, asked):
    wanted = [asked.split] if asked.split else ["test", config.dataset.valid_subset.split(",")[0]]
    for split in wanted:
        try:
            task.load_dataset(split)
            return split
        except (FileNotFoundError, SystemExit, KeyError):
            continue
    raise ValueError(f"--split {wanted[-1]}: the data have none such; give e.g. --split valid")


def _measure(subject, split, name, asked):
    """Rows of a runtime on a checkpoint.

    Raises:
        ValueError: it cannot run it.
    """
    runtime = load_runtimes()[name]
    if reason := runtime.can(subject):
        raise ValueError(reason)
    with tempfile.TemporaryDirectory(prefix="fairseq-prune-bench-") as folder:
        path = runtime.prepare(subject, folder)
        request = {
            "subject": asdict(subject), "runtime": name, "path": os.path.abspath(path), "split": split,
            "count": asked.count, "sizes": list(asked.sizes),
        }  # fmt: skip
        request["subject"] = asdict(replace(subject, path=os.path.abspath(subject.path)))
        found = _in_a_child(request, os.path.join(folder, "result.json"))
        shared = {
            "checkpoint": subject.path, "runtime": name, "bytes": _bytes(path),
            "macs": _macs(path if path.endswith(".pt") else subject.path, runtime.leaves_out()),
        }  # fmt: skip
    sizes = found.pop("sizes")
    return [{**shared, **size, **found} for size in sizes]


def _in_a_child(request, out):
    words = [sys.executable, "-m", "fairseq_prune.drivers.bench.child", json.dumps(request), out]
    done = subprocess.run(words, capture_output=True, text=True, check=False, preexec_fn=ends_with(os.getpid()))
    if done.returncode:
        last = (done.stderr.strip() or "no message").splitlines()[-1]
        raise ValueError(f"stopped with status {done.returncode}: {last}")
    return read_json(out)


def _bytes(path):
    """Of a file, or of all files in a folder."""
    entries: Iterable[Any] = os.scandir(path) if os.path.isdir(path) else [path]
    return sum(os.stat(entry).st_size for entry in entries)


def _macs(path, leaves_out):
    """Multiply-accumulates of a sentence or image, as inspect counts them; None where the family is not known."""
    state = load_checkpoint(path)
    if total := describe_model(state).get("total"):
        return total["macs"]
    sizes = {name: row.nonzero for row in tensor_rows(state["model"]) for name in (row.name, *row.aliases)}
    return count_macs(state["model"], *LENGTHS, sizes=sizes if leaves_out else None)[1]


def _compared(rows):
    """Rows with how much faster they are than the first of their batch size, as expected by MACs and as measured."""
    first: dict[int, dict[str, Any]] = {}
    for row in rows:
        base = first.setdefault(row["batch_size"], row)
        known = base["macs"] and row["macs"]
        row["expected"] = base["macs"] / row["macs"] if known else None
        row["measured"] = row["per_second"] / base["per_second"]
    return rows
