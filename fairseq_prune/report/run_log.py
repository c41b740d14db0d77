"""Reading fairseq's own logs of a run, and plotting them."""

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from .png import save_png

PANELS = (  # title of each panel, and the names of the values drawn in it
    ("loss", ("loss", "nll_loss")),
    ("perplexity", ("ppl",)),
    ("BLEU", ("bleu",)),
    ("accuracy (%)", ("accuracy", "top1")),
    ("removed", ("removed", "nodes_removed", "hm")),
    ("connectivity", ("connectivity",)),
    ("penalty", ("penalty",)),
    ("gates and selections", ("closed", "open", "overlap", "distance", "regulariser")),
    ("parameters", ("params",)),
)
_EPOCH = re.compile(r"epoch \d+ \| (?:valid on '([^']*)' subset \| )?(.* num_updates \d+.*)")
_UPDATES = re.compile(r"epoch \d+:\s+\d+ / \d+ (.*num_updates=\d+.*)")
Run = dict[str, dict[int, dict[str, float]]]  # split -> updates -> name -> value


def read_run(path: str) -> Run:
    """Read the log of a run: a ``--log-file``, or standard output with ``--log-format simple`` or ``json``.

    Args:
        path: a file, or a folder with files ``*.log`` or ``*.txt``; where they overlap, the newest one counts.

    Returns:
        dict of split (``train``, ``valid``) -> updates (count) -> name -> value; updates that a resumed run repeats
        occur once.

    Raises:
        ValueError: there is no such file, or it holds no lines of fairseq-train.
    """
    place = Path(path)
    files = [place] if place.is_file() else [file for kind in ("*.log", "*.txt") for file in place.glob(kind)]
    run: Run = {}
    for file in sorted(files, key=lambda file: file.stat().st_mtime):
        with open(file, encoding="utf-8", errors="replace") as lines:
            for split, values in _records(lines):
                run.setdefault(split, {}).setdefault(int(values.pop("num_updates")), {}).update(values)
    if not run:
        raise ValueError(
            f"--run {path}: no log of fairseq-train; give one, as --log-format simple --log-file run.log writes"
        )
    return run


def _records(lines: Iterable[str]) -> Iterator[tuple[str, dict[str, float]]]:
    """Pairs of a split and a dict of values, ``num_updates`` among them."""
    for line in lines:
        if found := _EPOCH.search(line):
            pairs: Any = (field.rpartition(" ")[::2] for field in found[2].split(" | "))
            yield found[1] or "train", _numbers(pairs)
        elif found := _UPDATES.search(line):
            yield "train", _numbers(field.strip().split("=", 1) for field in found[1].split(", ") if "=" in field)
        elif '{"epoch"' in line:
            yield from _of_json(line[line.index('{"epoch"') :])


def _of_json(text):
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):  # a line that a killed run did not finish
        return
    key = next((key for key in values if key.endswith("num_updates")), None)
    if key is not None:
        prefix = key.removesuffix("num_updates")
        yield prefix.rstrip("_") or "train", _numbers((name.removeprefix(prefix), v) for name, v in values.items())


def _numbers(pairs):
    numbers = {}
    for name, value in pairs:
        try:
            numbers[name.strip()] = float(value)
        except (TypeError, ValueError):
            continue
    return numbers


def draw_run(run: Run, path: str) -> str:
    """Draw quality, what is removed, and what the method logs, against updates.

    Args:
        run: from :func:`read_run`.
        path: PNG to write.

    Returns:
        A line for the terminal.
    """
    from matplotlib.figure import Figure

    panels = [(title, curves) for title, names in PANELS if (curves := list(_curves(run, names)))]
    figure = Figure(figsize=(8, 2 * len(panels) + 1), layout="constrained")
    for axes, (title, curves) in zip(figure.subplots(len(panels), squeeze=False).flat, panels, strict=True):
        for label, points in curves:
            axes.plot(*zip(*points, strict=True), marker=".", markersize=3, label=label)
        axes.set_ylabel(title)
        axes.legend(fontsize="x-small")
    figure.supxlabel("updates")
    save_png(figure, path)
    last = max(updates for records in run.values() for updates in records)
    return f"{path}: {', '.join(title for title, _ in panels)} over {last:,} updates"


def _curves(run, names):
    """Pairs of a label and its points (updates, value)."""
    for split, records in run.items():
        for name in names:
            if points := [(updates, record[name]) for updates, record in sorted(records.items()) if name in record]:
                yield f"{split} {name}", points
