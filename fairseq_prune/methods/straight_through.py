"""Losses of selected weights, while all of them stay: SR-STE."""

from ..optim.masters import add_to_gradient, homes, values_of
from .approach import Approach


class StraightThrough(Approach):
    """Lets the loss see the selected weights only; the others get its gradient as if they had been seen, and decay."""

    def __init__(self, *given):
        super().__init__(*given)
        self._masks = {}

    def _evidence(self):
        """What is scored: dict of parameter name -> tensor; None: the weights."""
        return None

    def select(self, choose, optimizer):
        self._masks = choose(self._evidence()).masks

    def last_choice(self, choose):
        return choose(self._evidence())

    def trained_values(self):
        return self.masked(self._masks)

    def validated_values(self, choose):
        return self.masked(self._masks)

    def before_step(self, optimizer):
        masters = homes(optimizer)
        for name, keep in self._masks.items() if self.settings.decay else ():
            gone = values_of(self.parameters[name], masters)[0] * ~keep
            add_to_gradient(self.parameters[name], masters, optimizer, gone, self.settings.decay)

    def end(self, optimizer):
        super().end(optimizer)
        self._masks = {}

    def state(self):
        return {"masks": dict(self._masks)} if self.active else None

    def load_state(self, state):
        super().load_state(state)
        self._masks = self._here(state["masks"])
