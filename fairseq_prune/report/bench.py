"""The rows of ``fairseq-prune bench`` as a table and as a figure."""

from collections.abc import Iterator, Mapping
from typing import Any

from ..files.alone import StrPath
from .png import save_png
from .table import Line, align

QUALITIES = {"bleu": "BLEU", "perplexity": "perplexity", "accuracy": "accuracy %"}
FOOTER = """\
ms: a batch. memory: what the model adds to its process at the most. M MACs: of a sentence of 25 and 25 tokens, or of
an image; csr's without the zeros. x: times the speed of the first row of that batch size, expected by MACs and
measured."""


def render_bench(report: Mapping[str, Any]) -> str:
    """Lay out a report for a terminal.

    Args:
        report: of :func:`~fairseq_prune.drivers.bench.compare.bench`.

    Returns:
        Text of several lines.
    """
    rows = report["rows"]
    measure = quality_of(rows)
    header: tuple[str, ...] = (
        "checkpoint",
        "runtime",
        "batch",
        f"{report['unit']}/s",
        "p50 ms",
        "p95 ms",
        "memory MB",
        "file MB",
    )
    header += ("M MACs", QUALITIES.get(measure, "-"), "x expected", "x measured")
    lines: list[Line] = [header, *(_cells(row, measure) for row in rows)]
    return "\n".join([*align(lines), "", FOOTER, *_notes(report["notes"])])


def quality_of(rows: list[dict[str, Any]]) -> str:
    """Name of the measure that rows have; empty: none."""
    return next((name for name in QUALITIES if any(name in row for row in rows)), "")


def _cells(row, measure):
    numbers = [row["per_second"], row["p50_ms"], row["p95_ms"], row["added_memory"] / 1e6, row["bytes"] / 1e6]
    numbers += [row["macs"] and row["macs"] / 1e6, row.get(measure), row["expected"], row["measured"]]
    cells = ("-" if number is None else f"{number:,.2f}" for number in numbers)
    return (row["checkpoint"], row["runtime"], str(row["batch_size"]), *cells)


def _notes(notes) -> Iterator[str]:
    for note in notes:
        yield f"{note['checkpoint']}{note['runtime'] and ', '}{note['runtime']}: {note['reason']}"


def draw_bench(report: Mapping[str, Any], path: StrPath) -> None:
    """Draw speed against quality, one point a row of the largest batch size.

    Args:
        report: as :func:`render_bench`.
        path: of the PNG.
    """
    from matplotlib.figure import Figure

    rows, unit = report["rows"], report["unit"]
    largest = max(row["batch_size"] for row in rows)
    measure = quality_of(rows)
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot(xlabel=f"{unit}/s, batches of {largest}", ylabel=QUALITIES.get(measure, ""))
    for row in rows:
        if row["batch_size"] == largest:
            at = row["per_second"], row.get(measure, 0.0)
            axes.plot(*at, "o")
            axes.annotate(f"{row['runtime']}\n{row['checkpoint'][-30:]}", at, fontsize=7)
    axes.set_xscale("log")
    save_png(figure, path)
