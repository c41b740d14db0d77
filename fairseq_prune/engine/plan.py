"""A pruning plan: the options of a run, resolved against its method and checked."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..methods.checks import check_approach, check_in_order
from ..methods.options import read_approach
from ..methods.projecting import Projection
from ..methods.table import METHODS
from ..needs import spelt
from ..pruning.budget import Threshold
from ..pruning.budget.counting import ROUNDINGS
from ..pruning.calibration.worth import WORTHS
from ..pruning.importance import EVIDENCE, IMPORTANCES
from ..pruning.schedule import NEVER, Schedule
from ..pruning.scope import SCOPES
from ..pruning.shapes import SHAPES
from ..pruning.times import When
from ..pruning.units import Support, parse_units
from .how_much import check_target, is_n_of_m, named, of_layers, read_target, saying_how_much
from .recipe import read_patterns, read_stages


@dataclass(frozen=True)
class Plan:
    """What a run removes and when. Built by :func:`make_plan`.

    Args:
        method: name in :data:`~fairseq_prune.methods.METHODS`.
        units: e.g. ``"weight"``.
        importance: name in the table of importances; "" where nothing is removed.
        scope: name in the table of scopes.
        target: dict of group pattern -> fraction removed, in [0, 1), or what says it later, as
            :class:`~fairseq_prune.pruning.budget.Threshold`; or of other options that say how much.
        stages: dict of stage name -> patterns.
        schedule: when.
        include: patterns added to the prunable set.
        skip: patterns left dense.
        only: patterns of all that is not left dense; none: no such limit.
        seed: of random choices.
        batches: training batches over which derivatives are scored (count).
        rounding: from a fraction to a count, name in the table of roundings.
        rewind: after every removal, weights and moments are set back to those of then; None: they train on.
        permute: reorder channels before the first selection.
        asked_by: the option that says how much.
        spelling: dict of option name -> how the user said it, where not in an option of that name.
        approach: between first selection and removal, data of :mod:`~fairseq_prune.methods`; None: masks at once.
    """

    method: str = "none"
    units: str = "weight"
    importance: str = ""
    scope: str = "global"
    target: Mapping[str, Any] = field(default_factory=dict)
    stages: dict[str, tuple[str, ...]] = field(default_factory=dict)
    schedule: Schedule = NEVER
    include: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    seed: int = 1
    batches: int = 5
    rounding: str = "nearest"
    rewind: When | None = None
    permute: bool = False
    asked_by: str = "--prune-target"
    spelling: dict[str, str] = field(default_factory=dict)
    approach: Any = None

    @property
    def prunes(self) -> bool:
        """True if the run removes anything itself."""
        return self.schedule != NEVER

    @property
    def in_order(self) -> bool:
        """True if layers are pruned one after the other, by what those before have become."""
        return self.importance in WORTHS

    @property
    def of_layers(self) -> bool:
        """True if the layers' outliers say how much of each is removed."""
        return of_layers(self.target)

    @property
    def counts(self) -> bool:
        """True if a fraction becomes a count of units somewhere."""
        return self.units != "n:m" and not all(isinstance(target, Threshold) for target in self.target.values())

    @property
    def evidence(self) -> tuple[str, ...]:
        """Kinds of what its events gather over batches of the training set (:mod:`~.evidence`)."""
        shared_out = "inputs" if self.of_layers else None
        kinds = EVIDENCE.get(self.importance), self.approach and self.approach.evidence, shared_out
        return tuple(kind for kind in kinds if kind)

    @property
    def updates_needed(self) -> int:
        """Updates from the first event to the removal at most, where the schedule names no end (count)."""
        return self._times * self.approach.updates_needed if self._times else 0

    @property
    def epochs_needed(self) -> int:
        """The same in epochs, of those whose time is counted so."""
        return self._times * self.approach.epochs_needed if self._times else 0

    @property
    def _times(self):
        if self.schedule.end or self.approach is None:
            return 0
        return self.schedule.num_events if self.schedule.in_rounds else 1

    def asked(self, name: str) -> str:
        """An answer as the user gave it, e.g. ``"--prune-units row"``."""
        value = self.schedule.start if name == "start" else getattr(self, name)
        return self.spelling.get(name) or f"--prune-{name} {value}"

    def plain(self) -> dict[str, Any]:
        """The plan as plain values, to store in a checkpoint and compare on a resume."""
        return {
            "method": self.method,
            "units": self.units,
            "importance": self.importance,
            "scope": self.scope,
            "target": _joined(self.target),
            "stages": _joined(self.stages),
            "schedule": str(self.schedule),
            "include": ",".join(self.include),
            "skip": ",".join(self.skip),
            "only": ",".join(self.only),
            "rounding": self.rounding,
            "permute": self.permute,
            "rewind": self.rewind and str(self.rewind),
            "approach": self.approach and str(self.approach),
        }


def _joined(mapping):
    return ";".join(f"{key}={value}" for key, value in mapping.items())


_METHOD_ANSWERS = ("units", "importance", "scope", "schedule", "rounding")


def make_plan(options: Mapping[str, Any], seed: int = 1) -> Plan:
    """Fill a method's answers with the user's options.

    Args:
        options: dict of option name without ``prune_`` -> value; only what was given. ``approach`` holds those of
            one; ``budget`` others that say how much is to be removed, in place of ``target``.
            ``spelling`` is :attr:`Plan.spelling`.
        seed: of random choices.

    Returns:
        A checked :class:`Plan`.

    Raises:
        ValueError: naming the option, the value and a valid example.
    """
    name = options.get("method", "none")
    options = dict(options)
    method = named("method", METHODS.__getitem__, name)
    approach = options.pop("approach", {})
    if not method.prunes:
        read_approach(name, None, approach, NEVER, False)
        _refuse_others(name, options)
        return Plan(name, seed=seed)
    answers = replace(method, **{k: options[k] for k in _METHOD_ANSWERS if k in options})
    if options.get("freeze"):
        answers = replace(answers, schedule="reselect")
    schedule, units = _schedule(answers, options), _units(answers.units)
    needed = named("units", parse_units, units).scope
    target = read_target(name, answers, options)
    plan = Plan(
        method=name,
        units=units,
        importance=answers.importance,
        scope=options.get("scope", needed or method.scope_of(units, of_layers(target))),
        target=target,
        stages=read_stages(options.get("stages", {})),
        schedule=schedule,
        include=read_patterns(options.get("include", ())),
        skip=read_patterns(options.get("skip", ())),
        only=read_patterns(options.get("only", ())),
        seed=seed,
        batches=_count("batches", options.get("batches", Plan.batches)),
        rounding=answers.rounding,
        rewind=named("rewind", When.parse, options["rewind"]) if "rewind" in options else None,
        permute=bool(options.get("permute")),
        asked_by=spelt(next(iter(saying_how_much(options)), "prune_target")),
        spelling=options.get("spelling", {}),
        approach=read_approach(name, _approach(answers), approach, schedule, answers.units == "weight"),
    )
    _check(plan)
    return plan


def _refuse_others(name, options):
    """Options of a method that removes nothing."""
    for option in sorted(set(options) - {"method"}):
        raise ValueError(
            f"{spelt(f'prune_{option}')} {options[option]}: --prune-method {name} removes nothing; "
            "add e.g. --prune-method magnitude"
        )


def _check(plan):
    """Refuse what does not exist or cannot be combined."""
    named("importance", IMPORTANCES.__getitem__, plan.importance)
    named("scope", SCOPES.__getitem__, plan.scope)
    named("rounding", ROUNDINGS.__getitem__, plan.rounding)
    check_target(plan)
    for target in plan.target.values():
        if isinstance(target, Threshold) and isinstance(parse_units(plan.units), Support):
            raise ValueError(f"--prune-target {target}: is not for units {plan.units}; e.g. --prune-target 0.8")
    check_approach(plan)
    check_in_order(plan)
    if plan.rewind:
        _check_rewind(plan)
    if plan.permute and plan.units != "n:m":
        raise ValueError(f"--prune-permute: is for N:M sparsity, not for units {plan.units}; e.g. --prune-units 2:4")
    if plan.stages and plan.scope != "stage":
        raise ValueError(f"--prune-scope {plan.scope}: --prune-stages needs e.g. --prune-scope stage")


def _check_rewind(plan):
    start = plan.schedule.start
    if plan.approach or plan.permute:
        raise ValueError(f"--prune-rewind {plan.rewind}: is not for --prune-method {plan.method}; e.g. imp")
    if plan.rewind.count and plan.rewind.unit != plan.schedule.unit or plan.rewind.count > start.count:
        raise ValueError(f"--prune-rewind {plan.rewind}: must not come after --prune-start, give e.g. {start}")


def _approach(method):
    """Selections that are made anew act on the weights, unless the method says otherwise."""
    return method.approach or (Projection() if method.schedule == "reselect" else None)


def _units(text):
    """``2:4`` says both that the units are n:m and how many."""
    return "n:m" if is_n_of_m(text) else text


def _schedule(method, options):
    named("schedule", SHAPES.__getitem__, method.schedule)
    times = {
        option: named(option, When.parse, options[option])
        for option in ("start", "end", "every", "freeze")
        if option in options
    }
    if "freeze" in times:
        if "end" in times or options.get("schedule", "reselect") != "reselect":
            other = "end" if "end" in times else "schedule"
            raise ValueError(f"--prune-freeze {times['freeze']}: does not go with --prune-{other} {options[other]}")
        times["end"] = times.pop("freeze")
    end, steps = times.get("end"), options.get("steps")
    if method.steps and steps is None and not end and "every" not in times:
        steps = method.steps
    if method.every and end and "every" not in times:
        times["every"] = When(method.every, end.unit)
    return Schedule(
        method.schedule, times.get("start", When(0, "up")), end, times.get("every"), steps and _count("steps", steps)
    )


_MOST = 10_000  # steps before one update, each of which scores the whole model, or batches


def _count(option, value):
    try:
        count = int(value)
    except ValueError:
        raise ValueError(f"--prune-{option} {value}: give a whole number, e.g. --prune-{option} 5") from None
    if count < 1:
        raise ValueError(f"--prune-{option} {value}: give at least 1, e.g. --prune-{option} 5")
    if count > _MOST:
        raise ValueError(f"--prune-{option} {value}: give at most {_MOST}, e.g. --prune-{option} 5")
    return count
