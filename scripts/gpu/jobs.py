"""The jobs of the check: each method in every precision, and what is done with what they leave."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import soak_runs as runs
import stories
from right import check, differences, faults_of

from fairseq_prune.engine.evidence import KINDS
from fairseq_prune.methods.table import METHODS
from fairseq_prune.pruning.importance import EVIDENCE

PRECISIONS = {"fp32": "", "amp": "--amp", "fp16": "--fp16", "bf16": "--bf16", "amp in bf16": "--amp --prune-amp-bf16"}
HALF = ("fp16", "bf16")  # too coarse for some derivatives, and refused with them
ADAM = "--optimizer adam --lr 0.01"
OFTEN = "--keep-interval-updates -1"  # so that there is a checkpoint to resume from
RECURRENT = {"hidden": "--prune-method l1 --prune-units hidden --prune-target 0.5 --prune-start 8up"}


@dataclass(frozen=True)
class Job:
    """Something to run and what must come of it.

    Args:
        kind: of model, or of story.
        name: of the method.
        precision: one of :data:`PRECISIONS`.
        work: function of a :class:`~places.Place`, which raises AssertionError where something is wrong.
    """

    kind: str
    name: str
    precision: str
    work: Callable

    def __str__(self):
        return f"{self.kind}, {self.name}, {self.precision}"


def all_jobs(real):
    """List of :class:`Job`: stories, which take longest, first, then all methods in one precision after the other.

    Args:
        real: False of a simulated GPU.
    """
    text = {name: f"--prune-method {name} {words}" for name, words in runs.TEXT_METHODS.items()}
    images = {name: f"--prune-method {name} {words}" for name, words in runs.IMAGE_METHODS.items()}
    families = {
        "CNN": (runs.IMAGES, images),
        "Transformer": (runs.TRANSFORMER, {**text, **runs.UNITS}),
        "RNN": (runs.LSTM, {**text, **RECURRENT}),
    }
    jobs = [Job("story", name, precision, partial(story, precision=PRECISIONS[precision]))
            for name, (story, able) in stories.STORIES.items() for precision in PRECISIONS
            if able in _told(precision, real)]  # fmt: skip
    for precision, option in PRECISIONS.items():
        for kind, (common, methods) in families.items():
            for name, words in methods.items():
                if precision in HALF and _is_fine(name):
                    continue
                command = f"--user-dir {runs.USER_DIR} {common} {ADAM} {OFTEN} {option} {words}"
                jobs.append(Job(kind, name, precision, partial(whole_and_resumed, name=name, command=command)))
    return jobs


def _told(precision, real):
    """Which stories are told in a precision."""
    stock = {stories.STOCK} if "in" not in precision else set()
    shared = {stories.SHARED} if real or precision == "fp32" else set()
    return {stories.EVERY, precision} | stock | shared


def _is_fine(name):
    """True for a method by derivatives that half precision is too coarse for."""
    kind = EVIDENCE.get(METHODS[name].importance) if name in METHODS else None
    return kind is not None and KINDS[kind].fine


def whole_and_resumed(place, name, command):
    """Train to the end and count by hand; then from a checkpoint in the midst, to the same bits."""
    place.run("train", command)
    whole, part = place.folder / "run", place.folder / "part"
    check(faults_of(whole, name, command))
    place.begin("part", whole)
    place.run("train", command.replace("@/run", "@/part"), log="part.log")
    check(differences(whole, part))
