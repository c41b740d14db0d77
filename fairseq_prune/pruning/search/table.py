"""From rates to masks, for many candidates, with each group ranked only once."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..masks import Masks


def sound_count(rate: float, magnitudes: Tensor) -> int:
    """Weights to remove from a group: ``rate * n``, rounded down.

    Args:
        rate: fraction removed, in [0, 1].
        magnitudes: ascending |w| of the group [n].

    Returns:
        count in 0..n. A product less than 1e-9 below a whole number counts as that number, so 0.29 of 100 is 29.
    """
    return min(math.floor(rate * len(magnitudes) + 1e-9), len(magnitudes))


def reference_threshold(rate: float, magnitudes: Tensor) -> Tensor:
    """The original's threshold: the |w| at index trunc((1 - rate)(n - 1)) in descending order.

    Its quirks are kept: rate 0 removes the smallest weight, all ties at the threshold are removed, and
    rounding may put the product just below a whole number.
    """
    n = len(magnitudes)
    return magnitudes[n - 1 - math.trunc((1 - rate) * (n - 1))]


def reference_count(rate: float, magnitudes: Tensor, thresholds_from: Tensor | None = None) -> int:
    """Number of weights that the original removes: all whose |w| is not above its threshold.

    Args:
        rate: fraction, in [0, 1].
        magnitudes: ascending |w| of the group [n].
        thresholds_from: ascending |w| [n] from which to take the threshold; after retraining, the original's
            grid search still uses those of the dense model. None: ``magnitudes``.

    Returns:
        count in 1..n.
    """
    threshold = reference_threshold(rate, magnitudes if thresholds_from is None else thresholds_from)
    return int(torch.searchsorted(magnitudes, threshold, right=True))


@dataclass(frozen=True)
class Group:
    """The parameters of one group, ranked.

    Args:
        names: names of its parameters.
        ranks: for each parameter, an int32 tensor of its shape: 0 = smallest |w| of the group; equal |w| are
            ranked by flat index, in the order of the parameters.
        magnitudes: ascending |w| [n].
    """

    names: tuple[str, ...]
    ranks: tuple[torch.Tensor, ...]
    magnitudes: torch.Tensor

    @property
    def size(self) -> int:
        """Weights (count)."""
        return len(self.magnitudes)

    @property
    def zeros(self) -> int:
        """Weights that are zero already (count); they rank lowest."""
        return int(torch.searchsorted(self.magnitudes, self.magnitudes.new_tensor(0.0), right=True))


class MagnitudeTable:
    """Weights ranked by magnitude within groups. Built once per round; a candidate costs one comparison per weight.

    Args:
        weights: dict of parameter name -> tensor; referenced, not copied.
        groups: dict of group name -> list of parameter names; each parameter in exactly one.

    Attributes:
        groups: dict of group name -> :class:`Group`.
    """

    def __init__(self, weights: Mapping[str, Tensor], groups: Mapping[str, Sequence[str]]):
        self._weights = weights
        self._merged: torch.Tensor | None = None
        self.groups = {name: _rank(members, weights) for name, members in groups.items()}

    @property
    def size(self) -> int:
        """Weights in all groups (count)."""
        return sum(group.size for group in self.groups.values())

    def removed(self, counts: Mapping[str, int]) -> dict[str, int]:
        """Weights that are zero after removing ``counts``, dict of group -> count; zeros stay zero."""
        return {name: max(counts[name], group.zeros) for name, group in self.groups.items()}

    def fraction_removed(self, counts: Mapping[str, int]) -> float:
        """Fraction of all weights that are zero after removing ``counts``, in [0, 1]."""
        return sum(self.removed(counts).values()) / self.size

    def rates_below(self, magnitude: float) -> list[float]:
        """Fraction of each group's weights with |w| at most ``magnitude``: list of float, in the groups' order."""
        found = (
            int(torch.searchsorted(g.magnitudes, g.magnitudes.new_tensor(magnitude), right=True)) for g in self._all
        )
        return [count / group.size for count, group in zip(found, self._all, strict=True)]

    def quantile(self, fraction: float) -> float:
        """The |w| that this fraction of all weights, taken over all groups, does not exceed (float)."""
        if self._merged is None:
            self._merged = torch.cat([group.magnitudes for group in self._all]).sort().values
        return float(self._merged[min(int(fraction * self.size), self.size - 1)])

    @property
    def _all(self):
        return list(self.groups.values())

    def write(self, counts: Mapping[str, int], parameters: Mapping[str, Tensor]) -> None:
        """Set parameters to the table's weights, with the smallest ones set to zero.

        Args:
            counts: dict of group name -> weights to remove (count).
            parameters: dict of parameter name -> tensor to overwrite.
        """
        with torch.no_grad():
            for group, count in self._removals(counts):
                for name, ranks in zip(group.names, group.ranks, strict=True):
                    torch.mul(self._weights[name], ranks >= count, out=parameters[name])

    def masks(self, counts: Mapping[str, int]) -> Masks:
        """The masks that remove ``counts``, dict of parameter name -> bool; tensors that stay whole have none."""
        masks = {}
        for group, count in self._removals(counts):
            masks.update({name: r >= count for name, r in zip(group.names, group.ranks, strict=True)})
        return {name: keep for name, keep in masks.items() if not keep.all()}

    def _removals(self, counts):
        removed = self.removed(counts)
        return [(group, removed[name]) for name, group in self.groups.items()]


def _rank(names, weights):
    flat = torch.cat([weights[name].detach().reshape(-1) for name in names]).abs_()
    magnitudes, order = flat.sort(stable=True)
    ranks = torch.empty_like(order, dtype=torch.int32)
    ranks[order] = torch.arange(len(order), dtype=torch.int32, device=order.device)
    parts = ranks.split([weights[name].numel() for name in names])
    return Group(tuple(names), tuple(p.view(weights[n].shape) for n, p in zip(names, parts, strict=True)), magnitudes)
