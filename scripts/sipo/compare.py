#!/usr/bin/env python3
"""Prints one table of SiPO runs: a row for each kind of FOLDER, which fairseq-prune sipo wrote.

FOLDERs whose names differ in a number at the end, as stage-once-1 and stage-once-2, are seeds of one kind: their row
has means and standard deviations. "evaluations" are candidates of all rounds, "removed" is a share of all parameters.
Qualities are the best round's, of its retrained model where there is one; those of the dense models that the runs
started from stand in rows of their own, and so do dense controls. BLEU is over whitespace tokens.
"""

import argparse
import json
import re
import statistics
from pathlib import Path

HEADER = (
    "", "runs", "rounds", "evaluations", "removed %",
    "valid accuracy %", "valid ppl", "test accuracy %", "test ppl", "BLEU",
)  # fmt: skip


def read(folder):
    """The summary of a run, dict, with the number of its ``evaluations``.

    Raises:
        ValueError: the run has not ended, or kept nothing.
    """
    path = Path(folder, "summary.json")
    if not path.is_file():
        raise ValueError(f"{folder}: no summary.json; give folders of fairseq-prune sipo that ended")
    summary = json.loads(path.read_text(encoding="utf-8"))
    if summary["best"] is None:
        raise ValueError(f"{folder}: no round was kept ({summary['stop']}); leave it out")
    records = (file.read_text(encoding="utf-8") for file in Path(folder).glob("search-*.jsonl"))
    return summary | {"evaluations": sum(text.count('"generation":') for text in records)}


def qualities(measured):
    """Numbers of the last five columns (None where not measured), from a dict of split -> dict."""
    valid, test = measured["valid"], measured.get("test", {})
    accuracies = [score and 100 * score for score in (valid["accuracy"], test.get("accuracy"))]
    return [accuracies[0], valid["perplexity"], accuracies[1], test.get("perplexity"), test.get("bleu")]


def rows_of(name, summary):
    """What a run adds to the table: dict of row name -> numbers of all columns but the first two."""
    best = summary["rounds"][summary["best"]]
    kept = summary["best"] + 1 if "retrained" in best else 0
    found = [kept, summary["evaluations"], 100 * best["search"]["removed"]]
    rows = {"dense": [0, 0, 0.0, *qualities(summary["original"])]}
    rows[name] = [*found, *qualities(best.get("retrained", best["pruned"]))]
    if summary["dense"]:
        rows[f"dense, {summary['dense']['epochs']} epochs more"] = [0, 0, 0.0, *qualities(summary["dense"])]
    return rows


def cell(numbers):
    """Mean and standard deviation of a column's numbers (str)."""
    if None in numbers:
        return "-"
    mean, digits = statistics.mean(numbers), 0 if isinstance(numbers[0], int) else 2
    if len(set(numbers)) == 1:
        return f"{mean:.{digits}f}"
    return f"{mean:.{digits}f} ± {statistics.stdev(numbers):.2f}"


def main():
    """Reads the command line and prints the table, in Markdown; a bad argument ends it in one line."""
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("folders", nargs="+", metavar="FOLDER")
    table = {}
    try:
        for folder in parser.parse_args().folders:
            kind, _, seed = Path(folder).name.rpartition("-")
            kind = kind if re.fullmatch(r"\d+", seed) else Path(folder).name
            for name, numbers in rows_of(kind, read(folder)).items():
                key = folder if name == kind else tuple(numbers)  # runs of one seed start from one dense model
                table.setdefault(name, {})[key] = numbers
    except ValueError as error:
        raise SystemExit(str(error)) from error
    print(f"| {' | '.join(HEADER)} |\n|{'---|' * len(HEADER)}")
    for name, row in table.items():
        print(f"| {name} | {len(row)} | {' | '.join(cell(column) for column in zip(*row.values(), strict=True))} |")


if __name__ == "__main__":
    main()
