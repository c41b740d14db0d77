"""What a unit is worth to SRP, from the loss's derivative by its connectivity."""

import contextlib

import torch

from ...pruning.importance.connectivity import CONNECTIVITY_SCORES
from .. import ranks
from ..evaluating import evaluating


def connectivity_scores(model, criterion, batches, score="signed"):
    r"""Score all units by :math:`\partial L / \partial c`, added up over batches and ranks.

    Source: SRP, whose score is signed. Differences: dropout is off, and the loss has no distillation term.

    Nothing but the time is spent: weights, gradients, the mode and random generators stay as they are.

    Args:
        model: an SRP Transformer.
        criterion: fairseq criterion that sums the loss over tokens.
        batches: iterable of collated samples; this rank's share.
        score: name in :data:`~fairseq_prune.pruning.importance.connectivity.CONNECTIVITY_SCORES`.

    Returns:
        dict of vector name -> float32 tensor [length], higher = keep.

    Raises:
        ValueError: no rank has a batch.
    """
    vectors = [c.vector for c in model.connectivity.values()]
    totals = [torch.zeros_like(v, dtype=torch.float32) for v in vectors]
    worth, count = CONNECTIVITY_SCORES[score], torch.zeros((), device=vectors[0].device)
    with evaluating(model, criterion), _differentiable(vectors):
        for sample in batches:
            loss, _, _ = criterion(model, sample)
            for total, gradient in zip(totals, torch.autograd.grad(loss, vectors), strict=True):
                total += worth(gradient.float())
            count += 1
    if not ranks.average(count):
        raise ValueError("--srp-score-batches: the training set has no batch to score with; see --max-tokens")
    return {name: ranks.average(total) for name, total in zip(model.connectivity, totals, strict=True)}


@contextlib.contextmanager
def _differentiable(vectors):
    for vector in vectors:
        vector.requires_grad_(True)
    try:
        yield
    finally:
        for vector in vectors:
            vector.requires_grad_(False)
