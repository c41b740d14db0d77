"""Exact global selection over 20 million scores, against torch's own ways."""

import statistics
import time

import torch

from fairseq_prune.pruning.selecting.ranking import drop_lowest, drop_lowest_by_ranking

COUNT, FRACTION, ROUNDS = 20_000_000, 0.8, 7


def seconds(function):
    """Time one call (s)."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def main():
    """Print one table row for each contender: median seconds, and how often ours fits into it."""
    scores = torch.randn(COUNT, generator=torch.Generator().manual_seed(1)).abs()
    num_drop = round(FRACTION * COUNT)
    contenders = {
        "drop_lowest (ours, exact, ties by index)": (lambda: drop_lowest(scores, num_drop), ROUNDS),
        "torch.kthvalue (threshold only)": (lambda: scores.kthvalue(num_drop), ROUNDS),
        "stable sort (the definition)": (lambda: drop_lowest_by_ranking(scores, num_drop), 3),
    }
    medians = {name: statistics.median(seconds(f) for _ in range(n)) for name, (f, n) in contenders.items()}
    ours = next(iter(medians.values()))
    print(f"| selection of {COUNT:,} scores, {FRACTION:.0%} removed | seconds | against ours |\n|---|---|---|")
    for name, median in medians.items():
        print(f"| {name} | {median:.3f} | {median / ours:.2f} x |")


if __name__ == "__main__":
    main()
