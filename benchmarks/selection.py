"""Exact global selection over 20 million scores, against torch's own ways."""

import argparse
import statistics

import torch
from devices import add_device

from fairseq_prune.pruning.selecting.ranking import drop_lowest, drop_lowest_by_ranking

FRACTION, ROUNDS = 0.8, 7


def main():
    """Print one table row for each contender: median seconds, and how often ours fits into it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scores", type=int, default=20_000_000, help="how many to select from")
    add_device(parser)
    args = parser.parse_args()
    device, count = args.device, args.scores
    scores = torch.randn(count, generator=torch.Generator().manual_seed(1)).abs().to(device.torch)
    num_drop = round(FRACTION * count)
    contenders = {
        "drop_lowest (ours, exact, ties by index)": (lambda: drop_lowest(scores, num_drop), ROUNDS),
        "torch.kthvalue (threshold only)": (lambda: scores.kthvalue(num_drop), ROUNDS),
        "stable sort (the definition)": (lambda: drop_lowest_by_ranking(scores, num_drop), 3),
    }
    medians = {name: statistics.median(device.seconds(f)[0] for _ in range(n)) for name, (f, n) in contenders.items()}
    ours = next(iter(medians.values()))
    title = f"selection of {count:,} scores, {FRACTION:.0%} removed, {device.name}"
    print(f"| {title} | seconds | against ours |\n|---|---|---|")
    for name, median in medians.items():
        print(f"| {name} | {median:.3f} | {median / ours:.2f} x |")
    print(f"\n{device.memory()}")


if __name__ == "__main__":
    main()
