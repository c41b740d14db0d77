"""Selections of coupled units to cut, and the masked model that a cut one must equal."""

import torch

from fairseq_prune.pruning.surgery.structure import masks_without


def select(structure, kinds, seed=1):
    """Units to keep: another number of each vector that has several, the same number of each head."""
    generator, keep = torch.Generator().manual_seed(seed), {}
    for i, vector in enumerate(v for v in structure.vectors.values() if v.kind in kinds):
        each = vector.length // vector.heads
        ranks = torch.rand(vector.heads, each, generator=generator).argsort(1)
        keep[vector.name] = (ranks >= min(1 + i % 3, each - 1)).view(-1)
    return keep


def zero(model, structure, keep):
    """Zero all that removed units own. Returns the masks."""
    masks = masks_without(structure, {name: p.shape for name, p in model.named_parameters()}, keep)
    with torch.no_grad():
        for name, mask in masks.items():
            model.get_parameter(name).mul_(mask)
    return masks
