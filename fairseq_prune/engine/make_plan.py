"""From the options of a run to its plan: the method's answers, replaced by the user's, checked together."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..methods.checks import check_approach, check_layerwise
from ..methods.options import read_approach
from ..methods.projecting import Projection
from ..methods.table import METHODS
from ..needs import spelt
from ..pruning.budget import Threshold
from ..pruning.budget.counting import ROUNDINGS
from ..pruning.importance import IMPORTANCES
from ..pruning.schedule import NEVER, Schedule
from ..pruning.scope import SCOPES
from ..pruning.shapes import SHAPES
from ..pruning.times import When
from ..pruning.units import Support, parse_units
from .plan import Plan
from .read_target import budget_options, by_layer, check_target, is_n_of_m, read_option, read_target
from .recipe import read_patterns, read_stages

_METHOD_ANSWERS = ("units", "importance", "scope", "schedule", "rounding")


def make_plan(options: Mapping[str, Any], seed: int = 1) -> Plan:
    """Fill a method's answers with the user's options.

    Args:
        options: dict of option name without ``prune_`` -> value; only what was given. ``approach`` is a dict of the
            options of an approach; ``budget`` a dict of other options that say how much is to be removed, in place
            of ``target``; ``spelling`` is :attr:`~.plan.Plan.spelling`.
        seed: of random choices.

    Returns:
        A checked :class:`~.plan.Plan`.

    Raises:
        ValueError: naming the option, the value and a valid example.
    """
    name = options.get("method", "none")
    options = dict(options)
    method = read_option("method", METHODS.__getitem__, name)
    approach = options.pop("approach", {})
    if not method.prunes:
        read_approach(name, None, approach, NEVER, False)
        _refuse_others(name, options)
        return Plan(name, seed=seed)
    answers = replace(method, **{k: options[k] for k in _METHOD_ANSWERS if k in options})
    if options.get("freeze"):
        answers = replace(answers, schedule="reselect")
    schedule, units = _schedule(answers, options), _units(answers.units)
    needed = read_option("units", parse_units, units).scope
    target = read_target(name, answers, options)
    plan = Plan(
        method=name,
        units=units,
        importance=answers.importance,
        scope=options.get("scope", needed or answers.scope_of(units, by_layer(target))),
        target=target,
        stages=read_stages(options.get("stages", {})),
        schedule=schedule,
        include=read_patterns(options.get("include", ())),
        skip=read_patterns(options.get("skip", ())),
        only=read_patterns(options.get("only", ())),
        seed=seed,
        batches=_count("batches", options.get("batches", Plan.batches)),
        rounding=answers.rounding,
        rewind=read_option("rewind", When.parse, options["rewind"]) if "rewind" in options else None,
        permute=bool(options.get("permute")),
        asked_by=spelt(next(iter(budget_options(options)), "prune_target")),
        spelling=options.get("spelling", {}),
        approach=read_approach(name, _approach(answers), approach, schedule, answers.units == "weight"),
    )
    _check(plan)
    return plan


def _refuse_others(name, options):
    """Refuse further options of a method that removes nothing."""
    for option in sorted(set(options) - {"method"}):
        raise ValueError(
            f"{spelt(f'prune_{option}')} {options[option]}: --prune-method {name} removes nothing; "
            "add e.g. --prune-method magnitude"
        )


def _check(plan):
    """Refuse what does not exist or cannot be combined."""
    read_option("importance", IMPORTANCES.__getitem__, plan.importance)
    read_option("scope", SCOPES.__getitem__, plan.scope)
    read_option("rounding", ROUNDINGS.__getitem__, plan.rounding)
    check_target(plan)
    for target in plan.target.values():
        if isinstance(target, Threshold) and isinstance(parse_units(plan.units), Support):
            raise ValueError(f"--prune-target {target}: is not for units {plan.units}; e.g. --prune-target 0.8")
    check_approach(plan)
    check_layerwise(plan)
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
    read_option("schedule", SHAPES.__getitem__, method.schedule)
    times = {
        option: read_option(option, When.parse, options[option])
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
