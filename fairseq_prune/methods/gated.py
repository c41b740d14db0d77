"""Gates that learn how much of a unit is needed."""

import torch

from ..optim.masters import homes, master_gradient, values_of
from .approach import Approach

MOMENTUM = 0.9


class Gated(Approach):
    """Multiplies units by gates in training and validation, and steps the gates beside the optimizer.

    Others override what gates begin at, what they multiply by, what pulls them, and what a step leaves of them.
    """

    def __init__(self, *given):
        super().__init__(*given)
        self._gates, self._velocities, self._gradients = {}, {}, {}

    def begin(self, position, layers, choose, optimizer):
        self.active = True
        self._gates = {name: self._first(torch.ones_like(self.chooser.magnitudes(name))) for name in layers}
        self._velocities = {name: torch.zeros_like(gate) for name, gate in self._gates.items()}

    def _first(self, ones):
        return ones

    def _trained(self, layer):
        """What units are multiplied by in training."""
        return self._gates[layer]

    def _settled(self, layer):
        """What they are multiplied by in validation and for good."""
        return self._gates[layer]

    def _worth(self, layer):
        """What units are ranked by in the end."""
        return self._gates[layer].abs()

    def _pull(self, layer):
        """The penalty's gradient."""
        return self.settings.l1 * self._gates[layer].sign()

    def _chain(self, layer, gradient):
        """From the loss's gradient by what multiplies to that by the gate."""
        return gradient

    def _left(self, before, gate):
        """What a step leaves of a gate: once closed it stays so."""
        return gate * ((before != 0) & (gate.abs() > self.settings.threshold))

    def _factors(self, of):
        """Dict of parameter name -> what each of its elements is multiplied by, for a function of a layer."""
        factors = {}
        for layer in self._gates:
            for name, change in self.chooser.spread(layer, of(layer) - 1).items():  # elements of no unit: by 1
                factors[name] = factors.get(name, 1) * (1 + change)
        return factors

    def _multiplied(self, of):
        own = self.parameters
        return {name: own[name].detach() * factor.to(own[name]) for name, factor in self._factors(of).items()}

    def trained_values(self):
        return self._multiplied(self._trained)

    def validated_values(self, choose):
        return self._multiplied(self._settled)

    def last_choice(self, choose):
        return choose(self._evidence(self._worth))

    def _evidence(self, of):
        """What a selection scores, so that units are worth what a function of a layer says."""
        worth = {}
        for layer in self._gates:
            for name, part in self.chooser.spread(layer, of(layer)).items():
                worth[name] = worth.get(name, 0) + part.expand_as(self.parameters[name])
        return {**self.values, **worth}

    def before_step(self, optimizer):
        masters, unscaled = homes(optimizer), float(getattr(optimizer, "_multiply_factor", 1.0))
        products = {}
        for name, factor in self._factors(self._trained).items():
            gradient = master_gradient(self.parameters[name], masters)
            if gradient is None:
                gradient = torch.zeros_like(self.parameters[name])
            products[name] = unscaled * gradient * values_of(self.parameters[name], masters)[0]
            gradient.mul_(factor.to(gradient.dtype))
        self._gradients = {layer: self._chain(layer, self.chooser.sum_over(layer, products)) for layer in self._gates}

    def after_step(self, optimizer):
        rate = self.settings.rate or optimizer.get_lr()
        for layer, gate in self._gates.items():
            velocity = self._velocities[layer]
            velocity.mul_(MOMENTUM).add_(self._gradients[layer]).add_(self._pull(layer))
            self._gates[layer] = self._left(gate, gate - rate * velocity)

    @property
    def metrics(self):
        """Share of the gates that are closed."""
        gates = torch.cat([self._settled(layer) for layer in self._gates])
        return {"closed": float((gates == 0).float().mean())}

    def end(self, optimizer):
        masters = homes(optimizer)
        for name, factor in self._factors(self._settled).items():
            for value in values_of(self.parameters[name], masters):
                value.mul_(factor.to(value.dtype))
        super().end(optimizer)
        self._gates, self._velocities = {}, {}

    def state(self):
        return {"gates": dict(self._gates), "velocities": dict(self._velocities)} if self.active else None

    def load_state(self, state):
        super().load_state(state)
        self._gates, self._velocities = self._here(state["gates"]), self._here(state["velocities"])
