"""Gates that learn alone and with the weights in turns, and close by their effect on the loss."""

import torch

from ..optim.masters import Home, homes
from .gated import Gated


class TickTockGates(Gated):
    """Counts the intervals between selections, and what gates do in ticks."""

    def __init__(self, *given):
        super().__init__(*given)
        self._interval, self._effects = 0, {}

    def begin(self, position, layers, choose, optimizer):
        super().begin(position, layers, choose, optimizer)
        self._interval, self._effects = 0, {name: torch.zeros_like(gate) for name, gate in self._gates.items()}

    @property
    def _ticks(self):
        """True while the gates learn alone."""
        return self._interval % (self.settings.tocks + self.settings.ticks) >= self.settings.tocks

    def select(self, choose, optimizer):
        """The end of an interval: a tick closes gates."""
        if self._ticks:
            choice = self.last_choice(choose)
            for layer, gate in self._gates.items():
                self._gates[layer] = gate * ~self.chooser.leaving(layer, choice)
        self._interval += 1
        if self._ticks:
            self._effects = {name: torch.zeros_like(gate) for name, gate in self._gates.items()}

    def _worth(self, layer):
        return self._effects[layer].masked_fill(self._gates[layer] == 0, -1.0)

    def _pull(self, layer):
        return 0.0 if self._ticks else self.settings.l1 * self._gates[layer].sign()

    def _left(self, before, gate):
        return gate * (before != 0)

    def before_step(self, optimizer):
        super().before_step(optimizer)
        if self._ticks:
            masters = homes(optimizer)
            for parameter in self.parameters.values():
                masters.get(parameter, Home(parameter)).key.grad = None  # neither momentum nor decay

    def after_step(self, optimizer):
        if self._ticks:
            for layer, gate in self._gates.items():
                self._effects[layer] += (gate * self._gradients[layer]).abs()
        super().after_step(optimizer)

    def state(self):
        state = super().state()
        return state and {**state, "interval": self._interval, "effects": dict(self._effects)}

    def load_state(self, state):
        super().load_state(state)
        self._interval, self._effects = state["interval"], self._here(state["effects"])
