"""Figures of a checkpoint: sparsity of every layer, and units before and after."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .inspect import Report
from .layout import shorten
from .png import save_png

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Rows = list[dict[str, Any]]


def sparsities(report: Report) -> dict[str, float]:
    """Fraction of zeros in every layer, or prunable tensor, of a report of :func:`~.inspect.inspect_checkpoint`."""
    prunable = set(report["total"]["prunable"])
    rows = report.get("layers") or [row for row in report["tensors"] if row["name"] in prunable]
    return {row["name"]: row["fraction_removed"] for row in rows}


def draw_sparsity(report: Report, path: str, original: Report | None = None) -> str:
    """Draw the fraction removed from every layer as bars.

    Args:
        report: from :func:`~fairseq_prune.evaluate.describe.describe_checkpoint`.
        path: PNG to write.
        original: not used.

    Returns:
        A line for the terminal.
    """
    from matplotlib.figure import Figure

    removed = sparsities(report)
    total = report["total"]["prunable_fraction_removed"]
    figure = Figure(figsize=(8, 1 + 0.2 * len(removed)), layout="constrained")
    axes = figure.add_subplot(xlabel="fraction removed", xlim=(0, 1))
    places = range(len(removed))
    axes.barh(places, list(removed.values()))
    axes.axvline(total, color="black", linewidth=0.8, linestyle="--", label=f"prunable set {total:.4f}")
    _name_rows(axes, list(removed))
    axes.legend(fontsize="x-small")
    save_png(figure, path)
    return f"{path}: {len(removed)} layers, {total:.4f} of {_whole(report)}"


def _whole(report):
    """What the fraction refers to: units that were cut out are no longer in any tensor."""
    since = report["total"].get("params_removed")
    if not any((row["before"] or row["now"]) > row["now"] for row in report.get("structure", ())):
        return "the prunable set removed"
    more = "" if since is None else f", {since:.4f} of all since the start"
    return f"what is left of the prunable set removed{more}"


def structure_before(report: Report, original: Report | None) -> Rows:
    """Rows of ``structure`` with ``before`` filled in from the original, else from the file, else from ``now``.

    Args:
        report: report of a checkpoint.
        original: report of the model before it was cut; None if not known.
    """
    known: Mapping[tuple, int] = {
        (row["name"], row["units"]): row["now"] for row in (original or {}).get("structure", ())
    }
    return [
        {**row, "before": known.get((row["name"], row["units"]), row["before"] or row["now"])}
        for row in report["structure"]
    ]


def draw_structure(report: Report, path: str, original: Report | None = None) -> str:
    """Draw the units of every part before pruning, now, and alive, a panel for each kind of unit.

    Arguments and result as of :func:`draw_sparsity`, but ``original`` is used.

    Raises:
        ValueError: no units of this model are known.
    """
    from matplotlib.figure import Figure

    rows = structure_before(report, original)
    kinds = list(dict.fromkeys(row["units"] for row in rows))
    if not kinds:
        raise ValueError("--structure: no heads, neurons, hidden units or filters are known of it; give --sparsity")
    counts = [sum(row["units"] == kind for row in rows) for kind in kinds]
    figure = Figure(figsize=(8, 1 + 0.9 * len(kinds) + 0.2 * len(rows)), layout="constrained")
    panels = figure.subplots(len(kinds), squeeze=False, height_ratios=[count + 2 for count in counts]).flat
    for axes, kind in zip(panels, kinds, strict=True):
        own = [row for row in rows if row["units"] == kind]
        for key, color in (("before", "0.85"), ("now", "tab:blue"), ("alive", "tab:green")):
            axes.barh(range(len(own)), [row[key] for row in own], color=color, label=key, height=0.8)
        _name_rows(axes, [row["name"] for row in own])
        axes.set_xlabel(kind)
    next(iter(figure.axes)).legend(fontsize="x-small")
    save_png(figure, path)
    sums = (f"{kind} {_sum(rows, kind, 'before'):,} to {_sum(rows, kind, 'alive'):,}" for kind in kinds)
    return f"{path}: {', '.join(sums)}"


def _sum(rows, kind, key):
    return sum(row[key] for row in rows if row["units"] == kind)


def _name_rows(axes: Axes, names: list[str]) -> None:
    axes.set_yticks(range(len(names)), [shorten(name) for name in names], fontsize=6)
    axes.invert_yaxis()
    axes.margins(y=0.01)
