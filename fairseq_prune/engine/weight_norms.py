"""Weight-normalised layers whose directions lose elements."""

from ..optim.masters import homes, values_of


def rescale_norms(prunables, masks, optimizer):
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
            for value in values_of(p.scale.parameter, masters):
                value.mul_(shrinkage)
