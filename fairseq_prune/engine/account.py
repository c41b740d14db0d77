"""What a training has cost so far, and what its model costs now."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from fairseq.logging import metrics
from torch import nn

from ..pruning.measures import harmonic_mean, living_units
from ..pruning.surgery.structure import Structure
from ..pruning.units.coupled import Node

TRAINING = 3  # multiply-accumulates of a training pass, in forward passes: a backward pass multiplies twice as often
KINDS = ("macs", "nonzero_macs")
ACCURACIES = ("top1", "accuracy")  # metrics in %


Counts = dict[str, int]  # of what is left of a model, by name


class Account:
    """Adds up the multiply-accumulates of a training, with the model as it was at every update.

    Args:
        costs: function -> dict of name -> count, what is left of the model; asked once after every change.
        version: function -> an object that is another one after every change.

    Attributes:
        start: the costs at the run's first update, before anything was removed.
        spent: dict of ``"macs"`` (zeros count) and ``"nonzero_macs"`` -> multiply-accumulates, scoring included.
        dense: multiply-accumulates of the same updates if nothing had been removed.
    """

    def __init__(self, costs: Callable[[], Counts], version: Callable[[], object]):
        self.start, self.spent, self.dense = {}, dict.fromkeys(KINDS, 0), 0
        self._count, self._version = costs, version
        self._counted: object = None
        self._now: Counts = {}
        self._at_update: Counts = {}

    def now(self) -> Counts:
        """The costs, counted once after every change."""
        version = self._version()
        if self._counted is not version:
            self._counted, self._now = version, self._count()
        return self._now

    def open(self) -> None:
        """Note what the model costs before anything is removed. A resumed run knows it already."""
        if not self.start:
            self.start = dict(self.now())

    def begin_update(self) -> None:
        """Note what the model costs in the update that begins."""
        self._at_update = self.now()

    def spend_update(self, samples: int) -> None:
        """Add an update over so many samples of all ranks (count)."""
        self._spend(self._at_update, TRAINING * samples)
        self.dense += self.start.get("macs", 0) * TRAINING * samples

    def spend_scoring(self, passes: int, samples: int) -> None:
        """Add the scoring of so many samples of all ranks, at so many forward passes each; dense runs have none."""
        self._spend(self.now(), passes * samples)

    def _spend(self, costs, passes):
        for kind in KINDS:
            self.spent[kind] += costs.get(kind, 0) * passes

    def measures(self) -> dict[str, float]:
        """What has been removed, and the account where multiply-accumulates can be counted; dict of name -> number."""
        found, nodes = {}, self.now().get("nodes")
        if self.start.get("nodes") and nodes is not None:
            found["nodes_removed"] = round(1 - nodes / self.start["nodes"], 4)
        if self.dense:
            found |= {f"train_{kind}": self.spent[kind] for kind in KINDS}
            found["train_speedup"] = round(self.dense / self.spent["macs"], 4)
        return found

    def log(self) -> None:
        """Log the costs and the measures; these are looked up when they are shown."""
        for name, value in self.now().items():
            metrics.log_scalar(name, value, weight=0, round=0, priority=252)
        for name in self.measures():
            metrics.log_derived(name, partial(self._measure, name), priority=253)

    def _measure(self, name, meters):
        return self.measures()[name]

    def state(self) -> dict[str, Any]:
        """Plain values."""
        return {"start": dict(self.start), "spent": dict(self.spent), "dense": self.dense, "now": dict(self.now())}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take up the account of an interrupted run."""
        self.start, self.spent, self.dense = dict(state["start"]), dict(state["spent"]), state["dense"]
        if "now" in state:  # counted at the last change, not now; files of earlier versions have none
            self._counted, self._now = self._version(), dict(state["now"])


class NodeCount:
    """Counts the units of a model that can be removed together, and those that have no effect any more.

    Args:
        model: ``nn.Module``.
        find_structure: function -> its :class:`~fairseq_prune.pruning.surgery.structure.Structure`; called once
            for all shapes that the model has.
    """

    def __init__(self, model: nn.Module, find_structure: Callable[[], Structure]):
        self._model, self._find = model, find_structure
        self._shapes: list[torch.Size] | None = None
        self._structure: Structure | None = None

    def count(self) -> Counts:
        """dict of ``nodes`` that do something and of ``dead_nodes``; {} for a model without, or not understood."""
        weights = dict(self._model.named_parameters(remove_duplicate=False))
        shapes = [weight.shape for weight in weights.values()]
        if shapes != self._shapes:
            self._shapes, self._structure = shapes, self._look()
        if not self._structure or not self._structure.vectors:
            return {}
        living = sum(int(units.sum()) for units in living_units(self._structure, weights).values())
        units = sum(vector.length for vector in self._structure.vectors.values())
        return {"nodes": living, "dead_nodes": units - living}

    def _look(self):
        try:
            with torch.random.fork_rng(devices=[]):  # tracing runs the net, dropout included
                return _of_nodes(self._find())
        except ValueError:  # e.g. a net that cannot be traced; it can be pruned by weights
            return None


def _of_nodes(structure):
    """Without whole layers, and without the dimensions of heads, which count as heads."""
    vectors = {name: v for name, v in structure.vectors.items() if structure.connectivity or v.kind in Node.kinds}
    return replace(structure, vectors=vectors)


def log_harmonic_mean() -> None:
    """Log ``hm``, of the metric ``removed`` and accuracy, where the criterion logs one in percent."""
    for name in ACCURACIES:
        if any(name in meters for meters in metrics.get_active_aggregators()):
            metrics.log_derived("hm", partial(_mean_of, name), priority=250)


def _mean_of(accuracy, meters):
    removed, accuracy = (float(meters.get_smoothed_value(name)) for name in ("removed", accuracy))
    return round(harmonic_mean(removed, accuracy / 100), 4)
