"""Gates that learn alone and with the weights in turns, and close by their effect on the loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..optim.masters import Home, homes
from ..pruning.schedule import Position
from .approach import Choose
from .gated import Gated

if TYPE_CHECKING:
    from fairseq.optim import FairseqOptimizer


class TickTockGates(Gated):
    """Counts the intervals between selections, and what gates do in ticks."""

    def __init__(self, *given: Any):
        super().__init__(*given)
        self._interval = 0
        self._effects: Tensor = None

    def begin(self, position: Position, layers: Sequence[str], choose: Choose, optimizer: FairseqOptimizer) -> None:
        super().begin(position, layers, choose, optimizer)
        self._interval, self._effects = 0, torch.zeros_like(self._gates)

    @property
    def _ticks(self):
        """True while the gates learn alone."""
        return self._interval % (self.settings.tocks + self.settings.ticks) >= self.settings.tocks

    def select(self, choose: Choose, optimizer: FairseqOptimizer) -> None:
        """The end of an interval: a tick closes gates."""
        if self._ticks:
            choice = self.last_choice(choose)
            self._gates = self._gates * ~torch.cat([self.chooser.leaving(layer, choice) for layer in self._lengths])
        self._interval += 1
        if self._ticks:
            self._effects = torch.zeros_like(self._gates)

    def _worth(self):
        return self._effects.masked_fill(self._gates == 0, -1.0)

    def _pull(self):
        return 0.0 if self._ticks else self.settings.l1 * self._gates.sign()

    def _left(self, before, gates):
        return gates * (before != 0)

    def before_step(self, optimizer: FairseqOptimizer) -> None:
        super().before_step(optimizer)
        if self._ticks:
            masters = homes(optimizer)
            for parameter in self.parameters.values():
                masters.get(parameter, Home(parameter)).key.grad = None  # neither momentum nor decay

    def after_step(self, optimizer: FairseqOptimizer) -> None:
        if self._ticks:
            self._effects += (self._gates * self._gradients).abs()
        super().after_step(optimizer)

    def state(self) -> dict[str, Any] | None:
        state = super().state()
        return state and {**state, "interval": self._interval, "effects": self._by_layer(self._effects)}

    def load_state(self, state: dict[str, Any]) -> None:
        super().load_state(state)
        self._interval, self._effects = state["interval"], self._joined(self._here(state["effects"]))
