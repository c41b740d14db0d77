"""Gates that learn how much of a unit is needed."""

import torch

from ..masters import homes, master_gradient, values_of
from .base import Approach

MOMENTUM = 0.9


class Gated(Approach):
    """Multiplies units by gates in training and validation, and steps the gates beside the optimizer."""

    def __init__(self, settings, chooser, parameters):
        super().__init__(settings, chooser, parameters)
        self._gates, self._velocities, self._gradients = {}, {}, {}

    def begin(self, updates, layers, choose, optimizer):
        self.active = True
        self._gates = {name: torch.ones_like(self.chooser.magnitudes(name)) for name in layers}
        self._velocities = {name: torch.zeros_like(gate) for name, gate in self._gates.items()}

    def _factors(self):
        """Dict of parameter name -> gate of each of its elements."""
        factors = {}
        for layer, gate in self._gates.items():
            for name, factor in self.chooser.spread(layer, gate).items():
                factors[name] = factors[name] * factor if name in factors else factor
        return factors

    def trained_values(self):
        own = self.parameters
        return {name: own[name].detach() * factor.to(own[name]) for name, factor in self._factors().items()}

    def validated_values(self, choose):
        return self.trained_values()

    def last_choice(self, choose):
        sizes = {n: factor.abs().expand_as(self.parameters[n]) for n, factor in self._factors().items()}
        return choose({**self.values, **sizes})

    def before_step(self, optimizer):
        masters, unscaled = homes(optimizer), float(getattr(optimizer, "_multiply_factor", 1.0))
        products = {}
        for name, factor in self._factors().items():
            gradient = master_gradient(self.parameters[name], masters)
            if gradient is None:
                gradient = torch.zeros_like(self.parameters[name])
            products[name] = unscaled * gradient * values_of(self.parameters[name], masters)[0]
            gradient.mul_(factor.to(gradient.dtype))
        self._gradients = {layer: self.chooser.sum_over(layer, products) for layer in self._gates}

    def after_step(self, optimizer):
        rate = optimizer.get_lr()
        for layer, gate in self._gates.items():
            velocity, opened = self._velocities[layer], gate != 0
            velocity.mul_(MOMENTUM).add_(self._gradients[layer]).add_(gate.sign(), alpha=self.settings.l1)
            gate.sub_(rate * velocity)
            gate.mul_(opened & (gate.abs() > self.settings.threshold))

    @property
    def metrics(self):
        """Share of the gates that are closed."""
        gates = torch.cat(list(self._gates.values()))
        return {"closed": float((gates == 0).float().mean())}

    def end(self, optimizer):
        masters = homes(optimizer)
        for name, factor in self._factors().items():
            for value in values_of(self.parameters[name], masters):
                value.mul_(factor.to(value.dtype))
        super().end(optimizer)
        self._gates, self._velocities = {}, {}

    def state(self):
        return {"gates": dict(self._gates), "velocities": dict(self._velocities)} if self.active else None

    def load_state(self, state):
        super().load_state(state)
        device = next(iter(self.parameters.values())).device
        self._gates = {layer: value.to(device) for layer, value in state["gates"].items()}
        self._velocities = {layer: value.to(device) for layer, value in state["velocities"].items()}
