"""Sensitivities as a table, as a heat map, and as a recipe with a fraction for each group."""

import math
from collections.abc import Mapping
from typing import Any

import yaml

from ..files.atomic import write_text
from ..files.locks import StrPath
from .layout import Line, align, shorten
from .png import save_png

FOOTER = """\
By target: how much {measure} grows when that fraction of the row alone is removed, -: one unit of every row stays.
sensitivity: the mean of these."""


def render_sensitivity(report: Mapping[str, Any]) -> str:
    """Lay out a report for a terminal.

    Args:
        report: from :func:`~fairseq_prune.evaluate.sensitivity.find_sensitivity`.

    Returns:
        Text of several lines.
    """
    targets, counted = report["targets"], "weights" if report["units"] == "weight" else "size"
    header = (report["units"], counted, *(f"{target:g}" for target in targets), "sensitivity")
    lines: list[Line] = [header, *(_cells(group, targets) for group in report["groups"])]
    dense = ", ".join(f"{name} {value:.4f}" for name, value in report["dense"].items())
    return "\n".join((*align(lines), "", f"as it is: {dense}", FOOTER.format(measure=report["measure"])))


def _cells(group, targets):
    growths = {trial["target"]: trial["growth"] for trial in group["trials"]}
    numbers = [growths.get(target) for target in targets] + [group["sensitivity"] if growths else None]
    cells = ("-" if number is None else f"{number:+.4f}" for number in numbers)
    return (shorten(group["name"]), f"{group['size']:,}", *cells)


def draw_sensitivity(report: Mapping[str, Any], path: StrPath) -> None:
    """Draw a heat map: a row for each group, a column for each target.

    Args:
        report: as for :func:`render_sensitivity`.
        path: PNG to write.
    """
    from matplotlib.figure import Figure

    groups, targets = report["groups"], report["targets"]
    growths = [{trial["target"]: trial["growth"] for trial in group["trials"]} for group in groups]
    cells = [[row.get(target, math.nan) for target in targets] for row in growths]
    figure = Figure(figsize=(6 + 0.5 * len(targets), 1.5 + 0.22 * len(groups)), layout="constrained")
    axes = figure.add_subplot(xlabel=f"fraction removed ({report['units']})")
    limit = max((value for row in cells for value in row if math.isfinite(value)), default=0.0) or 1.0
    image = axes.imshow(cells, aspect="auto", cmap="YlOrRd", vmin=0, vmax=limit)
    axes.set_xticks(range(len(targets)), [f"{target:g}" for target in targets])
    axes.set_yticks(range(len(groups)), [shorten(group["name"]) for group in groups], fontsize=7)
    for y, row in enumerate(cells):
        for x, value in enumerate(row):
            if math.isfinite(value):
                color = "white" if value > 0.7 * limit else "black"
                axes.text(x, y, f"{value:.3f}", ha="center", va="center", fontsize=6, color=color)
    figure.colorbar(image, label=f"growth of {report['measure']}")
    save_png(figure, path)


def write_recipe(report: Mapping[str, Any], path: StrPath) -> None:
    """Write the fractions of :func:`~fairseq_prune.evaluate.sensitivity.find_sensitivity` as a ``--prune-recipe``.

    Args:
        report: with ``fractions``, dict of group -> fraction removed.
        path: YAML file to write.
    """
    content = {**report["recipe"], "prune-target": report["fractions"]}
    write_text(path, yaml.safe_dump(content, sort_keys=False))
