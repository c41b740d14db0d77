"""Weight-normalised layers whose directions lose elements."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..optim.masters import homes, multiply_values, values_of
from ..pruning.masks import Masks
from ..pruning.prunable import Prunable

if TYPE_CHECKING:
    from fairseq.optim import FairseqOptimizer


def rescale_norms(prunables: Iterable[Prunable], masks: Masks, optimizer: FairseqOptimizer) -> None:
    """Keep the surviving weights of weight-normalised layers as they are.

    Args:
        prunables: list of :class:`~fairseq_prune.pruning.prunable.Prunable`.
        masks: that will be held, dict of parameter name -> bool.
        optimizer: the fairseq optimizer.
    """
    masters = homes(optimizer)
    for p in prunables:
        if p.scale and p.name in masks:
            shrinkage = p.scale.shrinkage(values_of(p.parameter, masters)[0], masks[p.name])
            multiply_values([p.scale.parameter], [shrinkage], masters)
