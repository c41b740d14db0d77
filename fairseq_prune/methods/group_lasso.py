"""Group lasso, which drives whole units to exactly zero during training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..pruning.schedule import Schedule
from ..pruning.selecting.selector import Selector, Values
from ..pruning.soft_threshold import block_soft_threshold, last_to_leave
from ..pruning.times import Position, When
from .approach import APPROACHES, Select, Timed
from .regularised import Regularised

if TYPE_CHECKING:
    from fairseq.optim import FairseqOptimizer


@dataclass(frozen=True)
class GroupLasso(Timed):
    """The loss gets the sum over units of sqrt(size) times the L2 norm of all weights that write or read a unit.

    Source: Yuan & Lin, JRSS B 2006; of filters Wen et al., NeurIPS 2016 (arXiv:1608.03665); of heads and neurons of
    Transformers Behnke & Heafield, WMT 2021. It is taken as a proximal step, so units stop at zero.

    Args:
        weight: of the regulariser in the loss. A step takes the weight times the learning rate off a unit's root mean
            square. None: :data:`WEIGHT`; but where the target is a fraction, the weight of each layer is fitted at
            every step, so that by the end as many of its units are zero as the first selection would remove.
        end: of the schedule.
    """

    weight: float | None = None
    end: When | None = None

    def __str__(self):
        return f"GroupLasso(weight={self.weight})"


WEIGHT = 0.1  # where none is given and there is nothing to fit it to


@APPROACHES.add(GroupLasso)
class BlockThresholded(Regularised):
    """Takes the proximal step of the group lasso behind every step of the optimizer."""

    def __init__(self, *given: Any):
        super().__init__(*given)
        self._sizes: dict[str, Tensor] = {}
        self._leave: dict[str, int] = {}  # layer -> units that are to be zero by the end, where that is known
        self._left = 1  # steps to the end, the next included

    @classmethod
    def completed(
        cls, settings: GroupLasso, options: Mapping[str, Any], schedule: Schedule, single_weights: bool
    ) -> GroupLasso:
        return replace(settings, end=schedule.end)

    def begin(self, position: Position, layers: Sequence[str], select: Select, optimizer: FairseqOptimizer) -> None:
        super().begin(position, layers, select, optimizer)
        if self.settings.weight is None and select.counts:
            selection = select(None)
            self._leave = {layer: int(self.selector.removed(layer, selection).sum()) for layer in layers}

    def before_update(self, position: Position, select: Select, optimizer: FairseqOptimizer) -> None:
        end = self.settings.end
        assert end is not None  # growing has one
        if end.unit == "up":
            self._left = end.count - position.updates
        else:
            assert position.updates_until is not None  # in training
            self._left = position.updates_until(end.count - position.epochs)

    @property
    def weight(self) -> float:
        return WEIGHT if self.settings.weight is None else self.settings.weight

    def _changes(self, squares: Values, step: float) -> Iterator[tuple[Selector, dict[str, Tensor]]]:
        if not self._sizes:
            ones = {name: torch.ones_like(value[:1]).expand_as(value) for name, value in squares.items()}
            self._sizes = self._over_sides(ones)
        norms = {layer: total.sqrt() for layer, total in self._over_sides(squares).items()}
        self._sum = torch.stack([(self._sizes[layer].sqrt() * norms[layer]).sum() for layer in norms]).sum()
        steps = dict.fromkeys(norms, step) | self._fitted(norms)
        changes = {layer: block_soft_threshold(norms[layer], self._sizes[layer], steps[layer]) - 1 for layer in norms}
        for selector in self.selector.sides:
            yield selector, changes

    def _fitted(self, norms):
        """What a step takes off root mean squares so that the last unit to leave ends at zero; dict by layer."""
        sizes = {layer: norms[layer] / self._sizes[layer].sqrt() for layer in self._leave}
        return {layer: last_to_leave(sizes[layer], count) / self._left for layer, count in self._leave.items()}

    def _over_sides(self, values):
        """Sums over all that writes or reads units, dict of layer -> [units]."""
        sides = self.selector.sides
        return {layer: sum(side.sum_over(layer, values) for side in sides) for layer in self._layers}

    def state(self) -> dict[str, Any] | None:
        state = super().state()
        return state and {**state, "leave": dict(self._leave)}

    def load_state(self, state: dict[str, Any]) -> None:
        super().load_state(state)
        self._leave = state.get("leave", {})  # files of earlier versions have a weight
