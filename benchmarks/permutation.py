"""Channel permutation for N:M sparsity: how much it regains of what the structure costs, and in what time.

Seconds are the processor's; matrices are uniform in [0, 1), as in Pool & Yu 2021.
"""

import statistics
import time

import numpy as np
import torch

from fairseq_prune.pruning.permute.descend import descend
from fairseq_prune.pruning.permute.moves import Splits, Swaps
from fairseq_prune.pruning.permute.search import efficacy, find_permutation, kept

CASES = ((128, 64, 2, 4, 8), (512, 512, 2, 4, 1), (2304, 256, 2, 4, 1), (512, 512, 4, 8, 1))  # the last: how many


def random_orders(matrix, n, m, seed):
    """The best of 1000 permutations."""
    generator = torch.Generator().manual_seed(seed)
    orders = (torch.randperm(matrix.shape[1], generator=generator) for _ in range(1000))
    return max(orders, key=lambda order: kept(matrix[:, order], n, m))


def best_moves(kind):
    """Greedy moves of one kind from the order as it is."""

    def search(matrix, n, m, seed):
        groups = np.arange(matrix.shape[1]).reshape(-1, m)
        descend(kind(matrix.T.contiguous().numpy(), groups, n), 1e-6 * kept(matrix, n, m))
        return torch.from_numpy(groups.reshape(-1))

    return search


def ours(matrix, n, m, seed):
    """As in the suite."""
    return find_permutation(matrix, n, m, torch.Generator().manual_seed(seed))


CONTENDERS = {
    "ours": ours,
    "pairs of groups (Pool & Yu)": best_moves(Splits),
    "greedy swaps": best_moves(Swaps),
    "best of 1000 random orders": random_orders,
}


def main():
    """Print one table row for each size and search."""
    torch.set_num_threads(1)
    print("| matrix, sparsity | search | regained | seconds |\n|---|---|---|---|")
    for rows, columns, n, m, count in CASES:
        for name, search in CONTENDERS.items():
            if m > 6 and name.startswith("pairs"):
                continue  # 6435 splits a pair
            found, taken = [], []
            for seed in range(count):
                matrix = torch.rand(rows, columns, generator=torch.Generator().manual_seed(seed))
                start = time.process_time()
                found.append(efficacy(matrix, search(matrix, n, m, seed), n, m))
                taken.append(time.process_time() - start)
            regained, seconds = statistics.mean(found), statistics.median(taken)
            print(f"| {rows} x {columns}, {n}:{m} | {name} | {regained:.1%} | {seconds:.1f} |", flush=True)


if __name__ == "__main__":
    main()
