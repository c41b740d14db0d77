"""Exact ranking: remove exactly so many units, however many scores are tied.

A threshold compare removes too few or too many when scores repeat (zero filters, half
precision). Everything here ranks by (score, index): among equal scores the lowest index is removed
first, so ranks that hold equal scores pick the same units.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..devices import on_host


def drop_lowest(scores: Tensor, num_drop: int) -> Tensor:
    """Mask the ``num_drop`` smallest scores in linear time.

    Selects the boundary score, drops everything below it, and fills up with the first of its
    ties. Equal to :func:`drop_lowest_by_ranking` in every element.

    Args:
        scores: importance [n], any float dtype; higher means keep; -inf means already removed.
            Not modified.
        num_drop: units to remove, ``0 <= num_drop <= n``.

    Returns:
        Bool [n] on the scores' device; True = keep.

    Raises:
        ValueError: ``num_drop`` out of range, or a score is NaN.
    """
    _check(scores, num_drop)
    if num_drop == 0:
        return torch.ones_like(scores, dtype=torch.bool)
    boundary = _kth_smallest(scores, num_drop)
    keep = scores > boundary
    surplus = scores.numel() - int(torch.count_nonzero(keep)) - num_drop
    if surplus:
        ties = (scores == boundary).nonzero().flatten()
        keep[ties[ties.numel() - surplus :]] = True
    return keep


def drop_lowest_of_each(scores: Sequence[Tensor], counts: Sequence[int]) -> tuple[list[Tensor], int | Tensor]:
    """As :func:`drop_lowest`, for several rankings, without waiting for a GPU: there those of one size are one sort.

    Args:
        scores: list of tensors [n], each a ranking of its own.
        counts: list of int, how many of each are removed.

    Returns:
        (list of bool tensors [n], how many scores are NaN: int or int64 tensor []). On a GPU those stay; nobody has
        looked yet.

    Raises:
        ValueError: a count out of range; without a GPU also if a score is NaN.
    """
    if all(map(on_host, scores)):
        return [drop_lowest(s, count) for s, count in zip(scores, counts, strict=True)], 0
    keeps: list[Tensor] = list(scores)  # in their places
    alike: dict[tuple, list[int]] = {}
    nans = torch.zeros((), dtype=torch.int64, device=scores[0].device)
    for place, (s, count) in enumerate(zip(scores, counts, strict=True)):
        _check_count(s, count)
        alike.setdefault((len(s), count, s.dtype, s.device), []).append(place)
    for (_, count, *_), places in alike.items():
        rows = torch.stack([scores[place] for place in places])
        lowest = rows.sort(dim=1, stable=True).indices[:, :count]
        keep = torch.ones_like(rows, dtype=torch.bool).scatter_(1, lowest, False)
        nans = nans + rows.isnan().sum()
        for place, row in zip(places, keep, strict=True):
            keeps[place] = row
    return keeps, nans


def drop_lowest_by_ranking(scores: Tensor, num_drop: int) -> Tensor:
    """The definition that :func:`drop_lowest` is held to: a stable sort, first ``num_drop`` are removed."""
    _check(scores, num_drop)
    keep = torch.ones_like(scores, dtype=torch.bool)
    keep[scores.argsort(stable=True)[:num_drop]] = False
    return keep


def drop_lowest_within(scores: Tensor, sizes: Tensor, budget: int) -> Tensor:
    """Mask the lowest-scored units of unequal size, removing at most ``budget`` weights.

    Units are removed in ranking order until the next one would exceed the budget, so a larger budget
    always removes a superset.

    Args:
        scores: importance [n]; higher means keep; -inf means already removed.
        sizes: weights in each unit, int64 [n].
        budget: weights to remove at most (count), ``0 <= budget <= sizes.sum()``.

    Returns:
        Bool [n]; True = keep.

    Raises:
        ValueError: ``budget`` out of range, or a score is NaN.
    """
    if not 0 <= budget <= int(sizes.sum()):
        raise ValueError(f"budget={budget} must lie in 0..{int(sizes.sum())}")
    _check(scores, 0)
    order = scores.argsort(stable=True)
    num_drop = int((sizes[order].cumsum(0) <= budget).sum())
    keep = torch.ones_like(scores, dtype=torch.bool)
    keep[order[:num_drop]] = False
    return keep


def _kth_smallest(scores, k):
    """The ``k``-th smallest score, 1-based: numpy's partition is fastest on a CPU, sorting on a GPU."""
    if not on_host(scores):
        return scores.sort().values[k - 1]
    wide = scores if scores.dtype == torch.float64 else scores.float()
    return float(np.partition(wide.numpy(), k - 1)[k - 1])


def _check_count(scores, num_drop):
    if not 0 <= num_drop <= scores.numel():
        raise ValueError(f"num_drop={num_drop} must lie in 0..{scores.numel()}")


def _check(scores, num_drop):
    _check_count(scores, num_drop)
    if scores.numel() and scores.min().isnan():  # min carries NaN, four times faster than isnan().any()
        raise ValueError(f"{int(scores.isnan().sum())} of {scores.numel()} scores are NaN; did the loss diverge?")
