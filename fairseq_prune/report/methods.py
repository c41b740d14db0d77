"""What ``fairseq-prune methods`` shows: the table of methods, and one of them with its options."""

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import Field, fields
from typing import Any, get_args

from ..engine.checks import RunDescription
from ..engine.options import NAMES, PruneOptions
from ..engine.plan import Plan
from ..methods.method import Method
from ..methods.options import ApproachOptions, options_of
from ..methods.table import METHODS, names_of_methods
from ..needs import spelt
from ..pruning.budget import parse_target
from ..pruning.schedule import NEVER, Schedule
from ..pruning.times import When
from .layout import align

ANSWERS = ("units", "importance", "scope", "schedule", "rounding", "target", "every", "steps")
COLUMNS = ("method", "units", "scope", "schedule")
Report = dict[str, Any]


def list_methods() -> Report:
    """All methods: dict of ``methods`` -> list of dicts, in the order of the table."""
    return {"methods": [_row(name, METHODS[name]) for name in names_of_methods()]}


def describe_method(name: str) -> Report:
    """One method, with its own options and with those general options that have an effect together with it.

    Args:
        name: any of its names.

    Raises:
        ValueError: there is no such method.
    """
    try:
        method = METHODS[name]
    except ValueError as error:
        raise ValueError(f"{error}; e.g. fairseq-prune methods greg1") from None
    first, others = next((n, others) for n, others in names_of_methods().items() if METHODS[n] is method)
    run, own = RunDescription(PruneOptions(), _plan(name, method)), options_of(method.approach)
    return _row(first, method) | {
        "other_names": others,
        "own_options": [_own(option, method) for option in own if not option.needs or option.needs.holds(run)],
        "options": [_option(option) for option in _general(method) if _works(option, run)],
    }


def _row(name, method):
    answers = {answer: getattr(method, answer) for answer in ANSWERS}
    return {"method": name, "summary": method.summary, "source": method.source} | (answers if method.prunes else {})


def _plan(name, method):
    target = parse_target(method.target or 0.5)  # any fraction and any event will do here
    schedule = Schedule("once", When.parse("0up")) if method.prunes else NEVER
    return Plan(
        name, method.units, method.importance, method.scope, target=target, schedule=schedule, approach=method.approach
    )


def _works(option, run):
    return "needs" not in option.metadata or option.metadata["needs"].holds(run)


def _general(method: Method) -> Iterator[Field]:
    """The general options; a method that removes nothing has none of those that say what is removed."""
    inherited = {option.name for option in fields(ApproachOptions)}
    for option in fields(PruneOptions):
        told_by_others = str(option.default).startswith("${")
        answer = option.name.removeprefix("prune_") in NAMES
        if option.name not in inherited | {"prune_method"} and not told_by_others and (method.prunes or not answer):
            yield option


def _own(option, method):
    told = {"option": spelt(option.name), "type": option.type.__name__, "default": option.default_of(method.approach)}
    return told | {"bounds": option.bounds, "help": option.help}


def _option(option):
    kind = next((kind for kind in get_args(option.type) if kind is not type(None)), option.type)
    told = {"option": spelt(option.name), "type": kind.__name__, "default": None, "bounds": ""}
    return told | {"help": option.metadata["help"]}


def render_methods(report: Report) -> str:
    """Lay out :func:`list_methods` for a terminal: for each method, a line of answers and a summary."""
    methods = report["methods"]
    cells = [tuple(str(row.get(column, "-")).ljust(12) for column in COLUMNS) for row in methods]
    lines = align([COLUMNS, *cells])
    told = (text for row in methods for text in (next(lines), f"    {row['summary']}"))
    return "\n".join((next(lines), *told, "", "fairseq-prune methods NAME tells of one, with its options."))


def render_method(report: Report) -> str:
    """Lay out :func:`describe_method` for a terminal."""
    facts = {"source": report["source"], "also": ", ".join(report["other_names"])}
    facts |= {answer: report.get(answer) for answer in ANSWERS}
    lines = [f"{report['method']}: {report['summary']}"]
    lines += [f"  {name:<12}{value}" for name, value in facts.items() if value not in (None, "")]
    for title, options in (("own options", "own_options"), ("general options", "options")):
        lines += ["", f"{title}:", *(_render_option(option) for option in report[options])] if report[options] else []
    return "\n".join(lines)


def _render_option(option: Mapping[str, Any]) -> str:
    value = "" if option["type"] == "bool" else f" {option['type'].upper()}"
    limits = [] if option["default"] in (None, False) else [f"default {option['default']}"]
    limits += [option["bounds"]] if option["bounds"] else []
    head = f"  {option['option']}{value}" + (f"  ({'; '.join(limits)})" if limits else "")
    return "\n".join((head, textwrap.fill(option["help"], 110, initial_indent=" " * 6, subsequent_indent=" " * 6)))
