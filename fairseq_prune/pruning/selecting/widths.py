"""Which units leave, once it is settled how many stay."""

import torch

from ..registry import Registry

GROUPINGS = Registry("kind of vector")


@GROUPINGS.add("residual", "qk", "vo")
def each_alone(vectors, widths):
    """Every vector by itself, and every head of it by itself.

    Args:
        vectors: list of :class:`~..surgery.structure.Coupled` of one kind.
        widths: :class:`~fairseq_prune.pruning.budget.widths.Widths`.

    Returns:
        list of (vectors ranked together, rankings they are split into, units kept in each ranking).
    """
    return [([v], v.heads, widths.lengths[v.name] // v.heads) for v in vectors]


@GROUPINGS.add("neuron")
def all_together(vectors, widths):
    """One ranking of all vectors, whose lengths may come out different. As :func:`each_alone`."""
    return [(vectors, 1, widths.ffn_units)]


def choose(scores, widths, vectors, alive, sizes):
    """Select the units to remove, exactly as many as the widths say, whatever the ties.

    The lowest scores leave; among equal ones the smallest sizes, then the first in order. Source:
    SRP, but its threshold compare leaves ties in.

    Args:
        scores: dict of vector name -> importance [present length], any float dtype; higher means
            keep. Not modified.
        widths: units to keep, :class:`~fairseq_prune.pruning.budget.widths.Widths`.
        vectors: those of this stage, :class:`~..surgery.structure.Coupled`.
        alive: dict of vector name -> bool tensor [present length]; False = already removed.
        sizes: dict of vector name -> norm of each unit's weights, float tensor [present length].

    Returns:
        dict of vector name -> bool tensor [present length], True = leaves; never a unit that is
        already removed. Nothing leaves where fewer are alive than wanted.

    Raises:
        ValueError: a score is NaN.
    """
    _check(scores, vectors)
    by_kind = {}
    for vector in vectors:
        by_kind.setdefault(vector.kind, []).append(vector)
    removed = {}
    for kind, members in by_kind.items():
        for ranked, rankings, keep in GROUPINGS[kind](members, widths):
            names = [v.name for v in ranked]
            lengths = [scores[name].numel() for name in names]
            rows = [torch.cat([given[name] for name in names]).view(rankings, -1) for given in (scores, sizes, alive)]
            removed.update(zip(names, _all_but_the_best(*rows, keep).view(-1).split(lengths), strict=True))
    return {v.name: removed[v.name] for v in vectors}


def _all_but_the_best(scores, sizes, alive, keep):
    """Mark the living units beyond the ``keep`` best of every row; all are [rows, units]."""
    order = sizes.argsort(dim=1, stable=True)
    for values in (scores, alive.to(torch.uint8)):  # the most telling key last
        order = order.gather(1, values.gather(1, order).argsort(dim=1, stable=True))
    leaves = torch.arange(order.shape[1], device=order.device) < order.shape[1] - keep
    return torch.zeros_like(alive).scatter(1, order, leaves.expand_as(order)) & alive


def _check(scores, vectors):
    for v in vectors:
        if scores[v.name].isnan().any():
            count = int(scores[v.name].isnan().sum())
            raise ValueError(f"{count} of {scores[v.name].numel()} scores of {v.name} are NaN; did the loss diverge?")
