"""Straight-through training (SR-STE): the loss sees the selected weights only, while all weights train."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..optim.masters import add_to_gradients, homes, values_of
from ..pruning.enforce import as_numbers
from ..pruning.selecting.selection import Selection
from ..pruning.units import UnitKind, is_coupled
from .approach import APPROACHES, Approach, Select, Timed
from .option import AT_LEAST_0, Option

if TYPE_CHECKING:
    from fairseq.optim import FairseqOptimizer


@dataclass(frozen=True)
class StraightThrough(Timed):
    """The loss uses the selected weights only, but all weights are kept and can be selected again.

    Args:
        decay: what is not selected decays by so much times the learning rate (SR-STE: Zhou et al., ICLR 2021,
            arXiv:2102.04010, eq. 9), and learns from the gradient of the selected ones.
    """

    decay: float = 0.0


@APPROACHES.add(StraightThrough)
class MaskedLoss(Approach):
    """Lets the loss see the selected weights only; the others get its gradient as if they had been seen, and decay."""

    options: tuple[Option, ...] = (
        Option("prune_mask_decay", "decay", "decay of weights not selected", AT_LEAST_0, example="sr_ste"),
    )

    @classmethod
    def fits(cls, units: UnitKind) -> bool:
        """No coupled units: masks of all that a unit owns leave its weights no gradient."""
        return super().fits(units) and not is_coupled(units)

    def __init__(self, *given: Any):
        super().__init__(*given)
        self._masks, self._numbers = {}, {}

    def _hold(self, masks):
        self._masks, self._numbers = masks, {}

    def _numbers_in(self, dtype):
        """The masks as 1 and 0; made once after a selection."""
        if dtype not in self._numbers:
            self._numbers[dtype] = as_numbers(self._masks, dtype)
        return self._numbers[dtype]

    def _evidence(self):
        """Evidence to score, dict of parameter name -> tensor; None: the weights are scored."""
        return None

    def reselect(self, select: Select, optimizer: FairseqOptimizer) -> None:
        self._hold(select(self._evidence()).masks)

    def last_selection(self, select: Select) -> Selection:
        return select(self._evidence())

    def trained_values(self) -> dict[str, Tensor]:
        return self._kept(self.values)

    def validated_values(self, select: Select) -> dict[str, Tensor]:
        return self.trained_values()

    def _kept(self, values):
        """What the selection keeps of values, dict of name -> tensor that has at least the selected tensors."""
        if not self._masks:
            return {}
        chosen = [values[name] for name in self._masks]
        numbers = self._numbers_in(chosen[0].dtype)
        return dict(zip(self._masks, torch._foreach_mul(chosen, list(numbers.values())), strict=True))

    def before_step(self, optimizer: FairseqOptimizer) -> None:
        if not self.settings.decay or not self._masks:
            return
        masters = homes(optimizer)
        values = {name: values_of(self.parameters[name], masters)[0] for name in self._masks}
        gone = torch._foreach_sub(list(values.values()), list(self._kept(values).values()))
        terms = dict(zip(values, gone, strict=True))
        add_to_gradients(self.parameters, masters, optimizer, terms, self.settings.decay)

    def end(self, optimizer: FairseqOptimizer) -> None:
        super().end(optimizer)
        self._hold({})

    def state(self) -> dict[str, Any] | None:
        return {"masks": dict(self._masks)} if self.active else None

    def load_state(self, state: dict[str, Any]) -> None:
        super().load_state(state)
        self._hold(self._here(state["masks"]))
