"""The decision: which units of one group leave."""

import torch

from .select import drop_lowest, drop_lowest_within


def decide(prunables, fraction, units, score, masks):
    """Rank the units of a group and remove the lowest.

    What is removed stays removed: it ranks below everything else, and a budget below what is
    already gone removes nothing more.

    Args:
        prunables: the group, list of :class:`~fairseq_prune.pruning.prunable.Prunable`.
        fraction: of the group's weights to have removed afterwards, in [0, 1).
        units: the :class:`~fairseq_prune.pruning.units.Units` that leave together.
        score: function of a prunable -> float scores [units], higher means keep.
        masks: dict of name -> bool, in force so far.

    Returns:
        dict of prunable name -> bool mask of its weight. For single weights exactly
        ``round(fraction * size)`` are removed; larger units never remove more than that.
    """
    scores, sizes = [], []
    for p in prunables:
        value = score(p)
        gone = _removed_units(p.mask_in(masks), units)
        scores.append(value if gone is None else value.masked_fill(gone, -torch.inf))
        sizes.append(units.sizes(p.parameter.shape))
    budget = round(fraction * sum(p.parameter.numel() for p in prunables))
    keep = _drop(torch.cat(scores), sizes, [len(s) for s in scores], budget)
    parts = keep.split([len(s) for s in scores])
    return {p.name: _combine(p, units.spread(part, p.parameter.shape), masks) for p, part in zip(prunables, parts)}


def _drop(scores, sizes, counts, budget):
    """Choose the cheaper exact selection; ``sizes`` holds an int or a tensor for each part."""
    removed = scores == -torch.inf
    if all(isinstance(size, int) for size in sizes) and len(set(sizes)) == 1:
        return drop_lowest(scores, max(budget // sizes[0], int(torch.count_nonzero(removed))))
    by_unit = torch.cat([torch.as_tensor(s).expand(n) for s, n in zip(sizes, counts)]).to(scores.device)
    return drop_lowest_within(scores, by_unit, max(budget, int(by_unit[removed].sum())))


def _removed_units(keep, units):
    return None if keep is None else units.pool(keep.float()) == 0


def _combine(prunable, keep, masks):
    before = prunable.mask_in(masks)
    return keep if before is None else keep & before
