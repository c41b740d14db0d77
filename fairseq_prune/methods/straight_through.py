"""Losses of selected weights, while all of them stay: SR-STE."""

import torch

from ..optim.masters import add_to_gradients, homes, values_of
from ..pruning.enforce import as_numbers
from .approach import Approach


class StraightThrough(Approach):
    """Lets the loss see the selected weights only; the others get its gradient as if they had been seen, and decay."""

    def __init__(self, *given):
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
        """What is scored: dict of parameter name -> tensor; None: the weights."""
        return None

    def select(self, choose, optimizer):
        self._hold(choose(self._evidence()).masks)

    def last_choice(self, choose):
        return choose(self._evidence())

    def trained_values(self):
        return self._kept(self.values)

    def validated_values(self, choose):
        return self.trained_values()

    def _kept(self, values):
        """What the selection leaves of values, dict of name -> tensor, at least those that it is about."""
        if not self._masks:
            return {}
        chosen = [values[name] for name in self._masks]
        numbers = self._numbers_in(chosen[0].dtype)
        return dict(zip(self._masks, torch._foreach_mul(chosen, list(numbers.values())), strict=True))

    def before_step(self, optimizer):
        if not self.settings.decay or not self._masks:
            return
        masters = homes(optimizer)
        values = {name: values_of(self.parameters[name], masters)[0] for name in self._masks}
        gone = torch._foreach_sub(list(values.values()), list(self._kept(values).values()))
        terms = dict(zip(values, gone, strict=True))
        add_to_gradients(self.parameters, masters, optimizer, terms, self.settings.decay)

    def end(self, optimizer):
        super().end(optimizer)
        self._hold({})

    def state(self):
        return {"masks": dict(self._masks)} if self.active else None

    def load_state(self, state):
        super().load_state(state)
        self._hold(self._here(state["masks"]))
