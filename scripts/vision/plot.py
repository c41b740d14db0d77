#!/usr/bin/env python3
"""Draws accuracy against the fraction removed: plot.py OUT.png METHOD-FRACTION-SEED=LOG:CHECKPOINT ...

One line for each METHOD, the mean over its seeds with the standard deviation as a bar; LOG as in compare.py. Rows of
METHOD none are drawn as a level line. Needs matplotlib: pip install 'fairseq-prune[plots]'.
"""

import re
import statistics
import sys

from compare import read_accuracy


def collect(rows):
    """Accuracies by method and fraction: dict of method -> dict of fraction -> list of percent."""
    found = {}
    for row in rows:
        match = re.fullmatch(r"(.+)-([\d.]+)-\d+=(.+):[^:]+", row)
        if not match:
            raise ValueError(f"{row!r} should read METHOD-FRACTION-SEED=LOG:CHECKPOINT")
        by_fraction = found.setdefault(match[1], {})
        by_fraction.setdefault(float(match[2]), []).append(read_accuracy(match[3]))
    return found


def draw(found, path):
    """Writes the figure."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.5), layout="constrained")
    for method, by_fraction in found.items():
        fractions = sorted(by_fraction)
        means = [statistics.mean(by_fraction[f]) for f in fractions]
        if method == "none":
            axes.axhline(means[0], color="grey", linestyle="--", label="dense")
            continue
        bars = [statistics.stdev(by_fraction[f]) if len(by_fraction[f]) > 1 else 0 for f in fractions]
        axes.errorbar(fractions, means, bars, marker="o", capsize=3, label=method)
    axes.set(xlabel="fraction removed", ylabel="top-1 accuracy (%)")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=150)


def main():
    """Reads the command line; a bad argument ends it in one line."""
    if len(sys.argv) < 3:
        raise SystemExit(__doc__)
    try:
        draw(collect(sys.argv[2:]), sys.argv[1])
    except (ValueError, OSError) as error:
        raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main()
