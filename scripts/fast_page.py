#!/usr/bin/env python3
"""Writes the measured part of docs/fast.md from what `fairseq-prune bench --json` printed, and the figure beside it.

python3 scripts/fast_page.py REPORT.json, with REPORT.png beside it. Rows whose names differ in a number at the end, as
srp-0.2-1 and srp-0.2-2, are seeds of one point: their means stand in the tables, the spread of BLEU behind them.
"""

import argparse
import re
import shutil
import statistics
from pathlib import Path

from fairseq_prune.files.atomic import write_text
from fairseq_prune.files.json_file import read_json
from fairseq_prune.report.bench import frontier_of, label_of

DOCS = Path(__file__).resolve().parents[1] / "docs"
BEGIN, END = "<!-- written by scripts/fast_page.py -->\n", "<!-- end -->\n"
LOSS = 1.0  # BLEU below the first row that still count as good


def table(header, rows):
    """A table in Markdown (str)."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def points_of(rows):
    """One row a point and way to run it: means of ``measured``, ``per_second`` and ``bleu``, and ``spread`` of BLEU."""
    points = {}
    for row in rows:
        name = re.sub(r"-\d+$", "", row["name"])
        points.setdefault((name, label_of(row)), []).append(row)
    return [_mean(name, found) for (name, _), found in points.items()]


def _mean(name, found):
    means = {key: statistics.mean(row[key] for row in found) for key in ("measured", "per_second", "bleu")}
    spread = statistics.stdev(row["bleu"] for row in found) if len(found) > 1 else None
    return {**found[0], **means, "name": name, "spread": spread}


def bleu(row):
    """A row's BLEU, with its spread where there are several seeds (str)."""
    return f"{row['bleu']:.2f}" + (f" ± {row['spread']:.2f}" if row["spread"] is not None else "")


def winner(rows, first):
    """The fastest row within :data:`LOSS` of the first, which is one itself."""
    return max((row for row in rows if row["bleu"] >= first["bleu"] - LOSS), key=lambda row: row["measured"])


def sentence(rows, first):
    """What is fastest at no more than one BLEU below the first row, in words (str)."""
    same = [row for row in rows if row["beam"] == first["beam"]]
    best, slow = (
        f"{row['name']} in {label_of(row)} ({row['measured']:.1f} x, BLEU {bleu(row)})"
        for row in (winner(rows, first), winner(same, first))
    )
    return (
        f"The first row, {first['name']} in {label_of(first)}, translates {first['per_second']:.0f} sentences/s at "
        f"BLEU {first['bleu']:.2f}. Fastest with a loss of at most {LOSS:.0f} BLEU: **{best}**. Fastest of those "
        f"that keep the beam of {first['beam']}: {slow}.\n"
    )


def written(report):
    """The measured part of the page (str)."""
    rows = points_of(report["rows"])
    ways = list(dict.fromkeys(map(label_of, rows)))
    frontier = [
        [row["name"], label_of(row), f"{row['measured']:.2f}", bleu(row), f"{row['bytes'] / 1e6:.2f}"]
        for row in frontier_of(rows)
    ]
    cells = {(row["name"], label_of(row)): f"{bleu(row)}, {row['measured']:.2f} x" for row in rows}
    names = list(dict.fromkeys(row["name"] for row in rows))
    points = [[name, *(cells.get((name, way), "-") for way in ways)] for name in names]
    setting = f"{report['threads']} thread, batches of {rows[0]['batch_size']}."
    return "\n".join([
        sentence(rows, rows[0]),
        "![speed against BLEU](images/frontier.png)\n",
        f"The frontier: no other point is both faster and better. {setting}\n",
        table(["model", "run by", "x", "BLEU", "MB"], frontier),
        "All points: BLEU, and speed relative to the first row:\n",
        table(["model", *ways], points),
    ])  # fmt: skip


def main():
    """Reads the command line and writes; a bad argument ends it in one line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("report", metavar="REPORT.json", type=Path)
    args = parser.parse_args()
    report = read_json(args.report)
    if report is None or not report["rows"] or len({row["batch_size"] for row in report["rows"]}) > 1:
        raise SystemExit(f"{args.report}: give what fairseq-prune bench --json printed, of one batch size")
    page = DOCS / "fast.md"
    before, _, rest = page.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    write_text(page, before + BEGIN + written(report) + END + after)
    (DOCS / "images").mkdir(exist_ok=True)
    shutil.copyfile(args.report.with_suffix(".png"), DOCS / "images" / "frontier.png")


if __name__ == "__main__":
    main()
