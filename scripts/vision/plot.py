#!/usr/bin/env python3
"""Draws accuracy against the fraction removed: plot.py OUT.png METHOD-FRACTION-SEED=LOG:CHECKPOINT ...

One line for each METHOD, the mean over its seeds with the standard deviation as a bar; dots where a FRACTION has one
seed. LOG as in compare.py. Rows of METHOD none are drawn as a level line. The axis is even in the logarithm of what is
left. Needs matplotlib: pip install 'fairseq-prune[plots]'.
"""

import re
import statistics
import sys

import numpy as np
from compare import read_accuracy

from fairseq_prune.report.png import save_png

COLOURS, MARKERS = 10, "os^"
LEFT = 0.01  # of the fraction; what is nearer to 1 is drawn at the edge
TICKS = (0, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98)


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

    figure, axes = pyplot.subplots(figsize=(8, 5), layout="constrained")
    for number, (method, by_fraction) in enumerate(found.items()):
        fractions = sorted(by_fraction)
        means = [statistics.mean(by_fraction[f]) for f in fractions]
        if method == "none":
            axes.axhline(means[0], color="grey", linestyle="--", label="dense")
            continue
        bars = [statistics.stdev(by_fraction[f]) if len(by_fraction[f]) > 1 else 0 for f in fractions]
        style = {"color": f"C{number % COLOURS}", "marker": MARKERS[number // COLOURS % len(MARKERS)]}
        line = "-" if min(map(len, by_fraction.values())) > 1 else "none"
        axes.errorbar(fractions, means, bars, linestyle=line, markersize=4, capsize=3, label=method, **style)
    axes.set_xscale("function", functions=(_spread, lambda position: 1 - np.exp(-position)))
    axes.set_xticks(TICKS, map(str, TICKS))
    axes.set(xlabel="fraction removed", ylabel="top-1 accuracy (%)")
    axes.grid(alpha=0.3)
    axes.legend(ncols=2, fontsize="small")
    save_png(figure, path)


def _spread(fraction):
    return -np.log(np.maximum(1 - np.asarray(fraction), LEFT))


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
