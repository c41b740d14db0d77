"""Random matrices, and orders of their columns."""

import torch

from fairseq_prune.pruning.permute.apply import permute_tensor
from fairseq_prune.pruning.permute.search import find_permutation


def uniform(rows, columns, seed=1):
    return torch.rand(rows, columns, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def search(matrix, n, m, seed=0, **options):
    return find_permutation(matrix, n, m, torch.Generator().manual_seed(seed), **options)


def permute_state(state, structure, permutations):
    """Reorder the units of a state dict; entries without owners are the same objects."""
    return {name: permute_tensor(value, structure.table.get(name, ()), permutations) for name, value in state.items()}
