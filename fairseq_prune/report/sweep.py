"""A sweep as a table and as a figure: quality, over seeds, against what was removed."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from ..files.locks import StrPath
from .layout import Line, align
from .png import save_png

HEADER = ("method", "target", "removed", "trials", "mean", "sd")
FOOTER = """\
removed: fraction of the dense model's weights that are zero or gone. sd: standard deviation over seeds (of a sample).
dense: the checkpoint that all trials start from, not trained further."""


def rows_of(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Mean and spread over the seeds of each method at each target.

    Args:
        report: from :meth:`fairseq_prune.drivers.sweep.run.Sweep.report`.

    Returns:
        list of dicts with ``method``, ``control``, ``target``, ``options``, ``stopped``, ``trials`` (count),
        ``removed``, ``mean`` and ``sd``; the last three are None if there are too few trials.
    """
    rows = []
    for cell in report["cells"]:
        qualities = [trial["quality"] for trial in cell["trials"]]
        removed = [trial["removed"] for trial in cell["trials"]]
        rows.append(
            {
                **{name: cell[name] for name in ("method", "control", "target", "options", "stopped")},
                "trials": len(qualities),
                "removed": statistics.fmean(removed) if removed else None,
                "mean": statistics.fmean(qualities) if qualities else None,
                "sd": statistics.stdev(qualities) if len(qualities) > 1 else None,
            }
        )
    return rows


def render_sweep(report: Mapping[str, Any]) -> str:
    """Lay out a report for a terminal.

    Args:
        report: as for :func:`rows_of`.

    Returns:
        Text of several lines.
    """
    rows = rows_of(report)
    lines: list[Line] = [(*HEADER[:4], f"mean {report['metric']}", HEADER[5])]
    lines.append(("dense", "-", "0.0000", "-", f"{report['dense']:.4f}", "-"))
    for row in rows:
        target = "-" if row["target"] is None else f"{row['target']:g}"
        numbers = ("-" if row[name] is None else f"{row[name]:.4f}" for name in ("removed", "mean", "sd"))
        removed, mean, spread = numbers
        lines.append((row["method"], target, removed, str(row["trials"]), mean, spread))
    return "\n".join([*align(lines), "", FOOTER, *_found(rows), *_open(report)])


def _found(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Lines with the options that searches chose."""
    lines = []
    for row in rows:
        if row["options"]:
            chosen = " ".join(f"{option} {value}" for option, value in row["options"].items())
            lines.append(f"{row['method']} at {row['target']}: {chosen} ({row['stopped']} trials stopped early)")
    return lines


def _open(report):
    return [] if report["ended"] == report["count"] else [f"{report['ended']} of {report['count']} trials are done"]


def draw_sweep(report: Mapping[str, Any], path: StrPath) -> None:
    """Draw the quality of each method against what it removes, with error bars of one standard deviation.

    Args:
        report: as for :func:`rows_of`.
        path: PNG to write.
    """
    from matplotlib.figure import Figure

    across, label = "removed", "fraction of the weights removed"
    if report["budget"] != "target":
        across, label = "target", report["budget"].replace("-", " ").replace("macs", "MACs")
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot(xlabel=label, ylabel=report["metric"].replace("_", " "))
    axes.axhline(report["dense"], color="black", linewidth=1, label="dense")
    rows = [row for row in rows_of(report) if row["trials"]]
    for method in dict.fromkeys(row["method"] for row in rows):
        own = sorted((row for row in rows if row["method"] == method), key=lambda row: row["target"] or 0)
        if own[0]["target"] is None:
            axes.axhline(own[0]["mean"], color="black", linestyle=":", label=f"{method}: dense, trained as long")
            continue
        style: dict[str, Any] = {"color": "grey", "linestyle": "--"} if own[0]["control"] else {}
        places, means = [row[across] for row in own], [row["mean"] for row in own]
        axes.errorbar(places, means, [row["sd"] or 0 for row in own], marker="o", capsize=3, label=method, **style)
    axes.legend()
    save_png(figure, path)
