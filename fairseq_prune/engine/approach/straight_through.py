"""Losses of selected weights, gradients for all: movement pruning and SR-STE."""

import torch

from ..masters import add_to_gradient, homes, master_gradient, values_of
from .base import Approach


class StraightThrough(Approach):
    """Lets the loss see the selected weights only, and decides what the others learn from it."""

    def __init__(self, *given):
        super().__init__(*given)
        self._masks, self._scores = {}, {}

    def select(self, choose, optimizer):
        if self.settings.scored and not self._scores:
            self._scores = {
                name: torch.zeros_like(parameter, dtype=torch.float32)
                for name, parameter in self.parameters.items()
                if name in self.chooser.owned
            }
        self._masks = choose(self._scores or None).masks

    def last_choice(self, choose):
        return choose(self._scores or None)

    def trained_values(self):
        return self.masked(self._masks)

    def validated_values(self, choose):
        return self.masked(self._masks)

    def before_step(self, optimizer):
        masters, unscaled = homes(optimizer), float(getattr(optimizer, "_multiply_factor", 1.0))
        for name, score in self._scores.items():
            gradient = master_gradient(self.parameters[name], masters)
            if gradient is not None:
                score.sub_(unscaled * gradient.float() * values_of(self.parameters[name], masters)[0].float())
        for name, keep in self._masks.items():
            if self.settings.scored:
                gradient = master_gradient(self.parameters[name], masters)
                if gradient is not None:
                    gradient.mul_(keep)
            elif self.settings.decay:
                gone = values_of(self.parameters[name], masters)[0] * ~keep
                add_to_gradient(self.parameters[name], masters, optimizer, gone, self.settings.decay)

    def end(self, optimizer):
        super().end(optimizer)
        self._masks, self._scores = {}, {}

    def state(self):
        return {"scores": dict(self._scores), "masks": dict(self._masks)} if self.active else None

    def load_state(self, state):
        super().load_state(state)
        device = next(iter(self.parameters.values())).device
        self._scores = {name: value.to(device) for name, value in state["scores"].items()}
        self._masks = {name: value.to(device) for name, value in state["masks"].items()}
