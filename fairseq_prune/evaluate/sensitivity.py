"""How much quality each layer or group of layers costs when it is pruned alone, without training."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ..deploy.probe import Probe
from ..deploy.prune import plan_at_once
from ..engine.model_info import info_of
from ..engine.outliers import block_of
from ..engine.recipe import read_patterns
from ..pruning.budget.equal_loss import Curve, equal_loss, shortest
from ..pruning.prunable import find_prunables
from ..pruning.selecting.selector import Selector
from ..pruning.units import is_coupled, parse_units
from .load import Workbench, Yardstick

MEASURES = ("nll_loss", "loss")  # the first that there is says how sensitive a layer is
Say = Callable[[str], None]


@dataclass(frozen=True)
class SensitivitySettings:
    """What to try.

    Args:
        checkpoint: path.
        options: as of :func:`~fairseq_prune.deploy.prune.prune_model`, without what says how much.
        targets: fractions removed of each group, in (0, 1).
        by: "layer", a tensor or a vector of coupled units, or "group", the tensors of a block together.
        data: the DATA argument; None: that of the training.
        split: of the data; None: that of the training's validation.
        batches: to measure on (count); None: as many as :meth:`~.load.Workbench.yardstick` takes.
        seed: of random choices.
        total: fraction that groups are to lose together, each at the same growth; None: none.
    """

    checkpoint: str
    options: Mapping[str, Any] = field(default_factory=lambda: {"method": "magnitude"})
    targets: Sequence[float] = (0.3, 0.5, 0.7, 0.9)
    by: str = "layer"
    data: str | None = None
    split: str | None = None
    batches: int | None = None
    seed: int = 1
    total: float | None = None

    def __post_init__(self):
        for target in self.targets:
            if not 0 < target < 1:
                raise ValueError(f"--targets {target:g}: give fractions in (0, 1), e.g. --targets 0.3,0.5,0.7,0.9")
        if self.total is not None and not 0 < self.total < 1:
            raise ValueError(f"--total {self.total:g}: give a fraction in (0, 1), e.g. --total 0.8")
        if self.batches is not None and self.batches < 1:
            raise ValueError(f"--batches {self.batches}: give 1 or more, e.g. --batches 16")


def find_sensitivity(settings: SensitivitySettings, say: Say) -> dict[str, Any]:
    """Prune every group alone, measure, and put it back.

    Args:
        settings: :class:`SensitivitySettings`.
        say: function that shows a line of progress.

    Returns:
        dict of plain values: ``measure``, by which sensitivity goes; ``dense``, measures of the model as it is;
        ``recipe``, the options that lead to the same groups; ``groups``, by falling sensitivity: ``name``, ``size`` and
        ``removed`` already (counts), ``sensitivity``, the mean growth of the measure, and ``trials``, one for each
        target that the group can have: ``target``, ``removed`` (count), measures, ``growth``. With a total also
        ``fractions`` of the groups.

    Raises:
        ValueError: a checkpoint that is none, data or split that are not there, an option that does not fit.
    """
    bench = Workbench(settings.checkpoint, settings.data, pruning=True)
    model = bench.model(settings.checkpoint).float()
    options = _of_groups(settings, model)
    plan = plan_at_once({**options, "target": max(settings.targets)}, settings.seed)
    probe = Probe(model, plan, info_of(bench.task))
    split = settings.split or bench.validation
    measure = bench.yardstick(model, split, settings.batches)
    dense = measure()
    by = next((name for name in MEASURES if name in dense), None)
    if by is None:
        raise ValueError(f"{settings.checkpoint}: its criterion logs no loss; give a checkpoint of another criterion")
    groups = try_groups(probe, settings.targets, measure, Progress(say, by, dense[by]))
    groups.sort(key=lambda group: -group["sensitivity"])
    fractions = {} if settings.total is None else {"fractions": equal_fractions(probe.selector, groups, settings.total)}
    recipe = {f"prune-{name}": value for name, value in options.items()}
    about = {"checkpoint": settings.checkpoint, "split": split, "units": plan.units, "measure": by}
    return {
        **about,
        "targets": sorted(settings.targets),
        "dense": dense,
        "recipe": recipe,
        "groups": groups,
        **fractions,
    }


def _of_groups(settings, model):
    """The options with those that make the groups."""
    if settings.by == "layer":
        return {**settings.options, "scope": "layer"}
    units = parse_units(settings.options.get("units", "weight"))
    if is_coupled(units):
        raise ValueError(f"--by group: is of tensors, not of units {settings.options['units']}; give --by layer")
    patterns = (read_patterns(settings.options.get(name, ())) for name in ("include", "skip", "only"))
    stages: dict[str, list[str]] = {}
    for prunable in find_prunables(model, *patterns):
        stages.setdefault(block_of(prunable.name), []).append(prunable.name)
    return {**settings.options, "scope": "stage", "stages": stages}


def try_groups(probe: Probe, targets: Sequence[float], measure: Yardstick, progress: Progress) -> list[dict[str, Any]]:
    """Prune every group of a probe alone.

    Args:
        probe: of the model.
        targets: fractions removed.
        measure: of the model as it is.
        progress: :class:`Progress`.

    Returns:
        ``groups`` of :func:`find_sensitivity`, in the order of the probe's.
    """
    tried = [(group, target) for group in probe.selector.groups for target in sorted(targets)]
    tried = [(group, target) for group, target in tried if probe.can(group, target)]
    progress.begin(len(tried))
    groups = []
    for name in probe.selector.groups:
        removed, size = probe.count(name)
        trials = []
        for target in (target for group, target in tried if group == name):
            with probe.without(name, target):
                found = measure()
            growth = progress.tell(name, target, found)
            count = max(removed, probe.selector.budget(name, target))
            trials.append({"target": target, "removed": count, **found, "growth": growth})
        mean = sum(trial["growth"] for trial in trials) / max(1, len(trials))
        groups.append({"name": name, "size": size, "removed": removed, "sensitivity": mean, "trials": trials})
    return groups


def equal_fractions(selector: Selector, groups: Sequence[Mapping[str, Any]], total: float) -> dict[str, float]:
    """Fractions of groups that come to a total, at most, at the same growth of each: as :func:`equal_loss`.

    Args:
        selector: of the groups.
        groups: of :func:`try_groups`.
        total: fraction removed of all groups together, in (0, 1).
    """
    budget, sizes = selector.budget, {group["name"]: group["size"] for group in groups}
    curves = {
        name: Curve(group["removed"] / size, [(trial["removed"] / size, trial["growth"]) for trial in group["trials"]])
        for group in groups
        for name, size in [(group["name"], group["size"])]
    }
    found = equal_loss(curves, total, sizes, budget)
    return {name: shortest(fraction, partial(budget, name)) for name, fraction in found.items()}


class Progress:
    """Tells of each trial, and how long the others will take.

    Args:
        say: function that shows a line.
        by: name of the measure that is told.
        dense: its value before anything is pruned.
        clock: function that returns seconds.
    """

    def __init__(self, say: Say, by: str, dense: float, clock: Callable[[], float] = time.monotonic):
        self._say, self._by, self._dense, self._clock = say, by, dense, clock
        self._done = self._all = 0

    def begin(self, trials: int) -> None:
        """So many trials follow."""
        self._all, self._start = trials, self._clock()
        self._say(f"{trials} trials; {self._by} of the model as it is: {self._dense:.4f}")

    def tell(self, group: str, target: float, found: Mapping[str, float]) -> float:
        """Show a trial; returns by how much its measure has grown."""
        self._done += 1
        growth = found[self._by] - self._dense
        left = (self._clock() - self._start) / self._done * (self._all - self._done)
        minutes = f"{int(left) // 60}:{int(left) % 60:02} left"
        self._say(f"{self._done} of {self._all}: {group} {target:g}, {self._by} {growth:+.4f}; {minutes}")
        return growth
