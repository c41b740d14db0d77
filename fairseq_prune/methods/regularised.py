"""Regularisers in the loss that make weights sparse."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..optim.masters import homes, multiply_values, values_of
from ..pruning.devices import on_host
from ..pruning.hoyer import hoyer_square, hoyer_step
from ..pruning.selecting.selector import Selector, Values
from ..pruning.times import Position
from ..pruning.units import Support, UnitKind
from .approach import APPROACHES, Approach, Select, Timed
from .option import REGULARISER

if TYPE_CHECKING:
    from fairseq.optim import FairseqOptimizer


@dataclass(frozen=True)
class Hoyer(Timed):
    """Adds the Hoyer-square regulariser of every layer to the loss, which drives small units to zero and large ones up.

    Of units with norms n it is (sum n)^2 / sum n^2, from 1 (all but one are zero) to their number (all are equal).
    Source: Yang et al., ICLR 2020 (arXiv:1908.09979), DeepHoyer, eqs. 2 (weights) and 6 (groups, there filters and
    channels; here slices of what writes and of what reads coupled units).

    Args:
        weight: of the sum over layers in the loss.
    """

    weight: float = 1e-3


class Regularised(Approach):
    """Shrinks units after every step, by a regulariser's weight times lr / (1 - momentum).

    In the gradient of the loss it would have the same strength, but let units jump around zero instead of stopping.
    """

    until_the_end = True
    options = (REGULARISER,)

    @classmethod
    def fits(cls, units: UnitKind) -> bool:
        """Units that are sums of weights, and not rules of which weights may stay together."""
        return super().fits(units) and not isinstance(units, Support)

    def __init__(self, *given: Any):
        super().__init__(*given)
        self._layers: list[str] = []
        self._sum: float | Tensor | None = None  # of the last step

    def begin(self, position: Position, layers: Sequence[str], select: Select, optimizer: FairseqOptimizer) -> None:
        self.active, self._layers = True, list(layers)

    def after_step(self, optimizer: FairseqOptimizer) -> None:
        masters, self._sum, owned = homes(optimizer), None, self.selector.owned
        names = [name for name in self.parameters if name in owned]
        values = [values_of(self.parameters[name], masters)[0].float() for name in names]
        squares = dict(zip(names, torch._foreach_mul(values, values), strict=True))
        step = self.weight * optimizer.get_lr()
        step /= 1 - optimizer.optimizer.param_groups[0].get("momentum", 0.0)
        changes = []  # in order, as those of several layers may meet in one parameter
        for selector, of_layers in self._changes(squares, step):
            for layer, change in of_layers.items():
                changes += selector.spread(layer, change).items()
        factors = torch._foreach_add([change for _, change in changes], 1)
        multiply_values([self.parameters[name] for name, _ in changes], factors, masters)

    @property
    def weight(self) -> float:
        """Weight of the regulariser in the loss."""
        return self.settings.weight

    def _changes(self, squares: Values, step: float) -> Iterator[tuple[Selector, dict[str, Tensor]]]:
        """Factors of units, less 1: for each side of the selector a dict of layer -> float [units]."""
        raise NotImplementedError

    def validated_values(self, select: Select) -> dict[str, Tensor]:
        return self.masked(select(None).masks)

    @property
    def metrics(self) -> dict[str, float | Tensor]:
        """The regulariser, summed over layers, without its weight."""
        return {} if self._sum is None else {"regulariser": self._sum}

    def state(self) -> dict[str, Any] | None:
        return {"layers": self._layers} if self.active else None

    def load_state(self, state: dict[str, Any]) -> None:
        super().load_state(state)
        self._layers = state["layers"]


@APPROACHES.add(Hoyer)
class HoyerRegularised(Regularised):
    """Follows the Hoyer-square regulariser's gradient, of each side of coupled units by itself."""

    def _changes(self, squares: Values, step: float) -> Iterator[tuple[Selector, dict[str, Tensor]]]:
        for selector in self.selector.sides:
            yield selector, self._of_side(selector, squares, step)

    def _of_side(self, selector, squares, step):
        """Layers of one size are one batch, but on a host, whose cache holds one layer rather than all."""
        sums, alike, changes = {layer: selector.sum_over(layer, squares) for layer in self._layers}, {}, {}
        for layer, total in sums.items():
            alike.setdefault(layer if on_host(total) else len(total), []).append(layer)
        for layers in alike.values():
            norms = torch.stack([sums[layer] for layer in layers]).sqrt()
            value = hoyer_square(norms).sum()
            self._sum = value if self._sum is None else self._sum + value
            changes.update(zip(layers, hoyer_step(norms, step) - 1, strict=True))
        return {layer: changes[layer] for layer in self._layers}
