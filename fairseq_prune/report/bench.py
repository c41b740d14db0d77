"""The rows of ``fairseq-prune bench`` as a table and as a figure."""

from collections.abc import Iterator, Mapping
from typing import Any

from ..files.locks import StrPath
from .layout import Line, align
from .png import save_png

QUALITIES = {"bleu": "BLEU", "perplexity": "perplexity", "accuracy": "accuracy %"}
FOOTER = """\
ms: time per batch. memory: the most that the model adds to its process. M MACs: per sentence (25 tokens on each side)
or image; csr does not count zeros. x: speed relative to the first row; "expected" follows from the MACs (at the same
beam), and the measured one alternates batch by batch with the first row, so that other work hardly matters."""
Row = Mapping[str, Any]
Rows = list[dict[str, Any]]


def render_bench(report: Mapping[str, Any]) -> str:
    """Lay out a report for a terminal.

    Args:
        report: from :func:`~fairseq_prune.drivers.bench.compare.bench`.

    Returns:
        Text of several lines.
    """
    rows = report["rows"]
    measure = quality_of(rows)
    header: tuple[str, ...] = ("checkpoint", "runtime", "beam", "batch", f"{report['unit']}/s", "p50 ms", "p95 ms")
    header += ("memory MB", "file MB", "M MACs", QUALITIES.get(measure, "-"), "x expected", "x measured")
    lines: list[Line] = [header, *(_cells(row, measure) for row in rows)]
    notes = (_note(note) for note in report["notes"])
    return "\n".join([*align(lines), "", f"{report['threads']} threads. {FOOTER}", *notes])


def quality_of(rows: Rows) -> str:
    """Name of the quality measure that the rows have; empty if they have none."""
    return next((name for name in QUALITIES if any(name in row for row in rows)), "")


def _cells(row, measure):
    numbers = [row["per_second"], row["p50_ms"], row["p95_ms"], row["added_memory"] / 1e6, row["bytes"] / 1e6]
    numbers += [row["macs"] and row["macs"] / 1e6, row.get(measure), row["expected"], row["measured"]]
    cells = ("-" if number is None else f"{number:,.2f}" for number in numbers)
    return (row["name"], row["runtime"], str(row["beam"] or "-"), str(row["batch_size"]), *cells)


def _note(note):
    return f"{note['checkpoint']}{note['runtime'] and ', '}{note['runtime']}: {note['reason']}"


def label_of(row: Row) -> str:
    """How a row was run, e.g. ``ctranslate2-int8, beam 2``."""
    return row["runtime"] + (f", beam {row['beam']}" if row["beam"] else "")


def frontier_of(rows: Rows) -> Rows:
    """Rows that no other row beats in both speed and quality, the slowest first.

    Args:
        rows: rows of a report, all of one batch size.
    """
    measure = quality_of(rows)
    sign = -1 if measure == "perplexity" else 1
    best, found = -float("inf"), []
    for row in sorted(rows, key=lambda row: (-row["measured"], -sign * row.get(measure, 0.0))):
        if sign * row.get(measure, 0.0) > best:
            best = sign * row.get(measure, 0.0)
            found.append(row)
    return found[::-1]


def draw_bench(report: Mapping[str, Any], path: StrPath) -> None:
    """Draw quality against speed: a point for each row of the largest batch size, and the frontier as a labelled line.

    Args:
        report: as for :func:`render_bench`.
        path: PNG to write.
    """
    from matplotlib.figure import Figure

    largest = max(row["batch_size"] for row in report["rows"])
    rows = [row for row in report["rows"] if row["batch_size"] == largest]
    first, measure = rows[0], quality_of(rows)
    base, speed = f"{first['name']}, {label_of(first)}", first["per_second"]
    figure = Figure(figsize=(9, 6), layout="constrained")
    axes = figure.add_subplot(xlabel=f"times the speed of {base}", ylabel=QUALITIES.get(measure, ""), xscale="log")
    above = axes.secondary_xaxis("top", functions=(lambda x: x * speed, lambda x: x / speed))
    above.set_xlabel(f"{report['unit']}/s, batches of {largest}, {report['threads']} threads")
    for (label, points), marker in zip(_by_label(rows, measure), _markers(), strict=False):
        axes.plot(*zip(*points, strict=True), marker, label=label, markersize=5, alpha=0.8)
    best = frontier_of(rows)
    axes.plot([row["measured"] for row in best], [row.get(measure, 0.0) for row in best], color="0.6", linewidth=0.8)
    for row in best:
        axes.annotate(row["name"][-30:], (row["measured"], row.get(measure, 0.0)), fontsize=7, rotation=20)
    axes.legend(fontsize="x-small")
    save_png(figure, path)


def _by_label(rows, measure):
    """Pairs of a label (how rows were run) and the points of these rows."""
    points: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        points.setdefault(label_of(row), []).append((row["measured"], row.get(measure, 0.0)))
    return points.items()


def _markers() -> Iterator[str]:
    """Marker shapes, repeated forever; Matplotlib changes the color."""
    while True:
        yield from "osD^vP*X<>"
