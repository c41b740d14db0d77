"""Group lasso: whole units become exactly zero while the rest trains."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..pruning.selecting.selector import Selector, Values
from ..pruning.soft_threshold import block_soft_threshold
from .approach import APPROACHES, Timed
from .regularised import Regularised


@dataclass(frozen=True)
class GroupLasso(Timed):
    """The loss gets the sum over units of sqrt(size) times the L2 norm of all weights that write or read a unit.

    Source: Yuan & Lin, JRSS B 2006; of filters Wen et al., NeurIPS 2016 (arXiv:1608.03665); of heads and neurons of
    Transformers Behnke & Heafield, WMT 2021. It is taken as a proximal step, so units stop at zero.

    Args:
        weight: of the regulariser in the loss. A step takes the weight times the learning rate off a unit's root mean
            square.
    """

    weight: float = 0.1


@APPROACHES.add(GroupLasso)
class BlockThresholded(Regularised):
    """Takes the proximal step of the group lasso behind every step of the optimizer."""

    def __init__(self, *given: Any):
        super().__init__(*given)
        self._sizes: dict[str, Tensor] = {}

    def _changes(self, squares: Values, step: float) -> Iterator[tuple[Selector, dict[str, Tensor]]]:
        if not self._sizes:
            ones = {name: torch.ones_like(value[:1]).expand_as(value) for name, value in squares.items()}
            self._sizes = self._over_sides(ones)
        norms = {layer: total.sqrt() for layer, total in self._over_sides(squares).items()}
        self._sum = torch.stack([(self._sizes[layer].sqrt() * norms[layer]).sum() for layer in norms]).sum()
        changes = {layer: block_soft_threshold(norms[layer], self._sizes[layer], step) - 1 for layer in norms}
        for selector in self.selector.sides:
            yield selector, changes

    def _over_sides(self, values):
        """Sums over all that writes or reads units, dict of layer -> [units]."""
        sides = self.selector.sides
        return {layer: sum(side.sum_over(layer, values) for side in sides) for layer in self._layers}
