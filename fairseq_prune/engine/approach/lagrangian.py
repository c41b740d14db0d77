"""ADMM: weights drawn to what they should become."""

import torch

from ..masters import add_to_gradient, homes, values_of
from .base import Approach


class Drawn(Approach):
    """Keeps the nearest sparse weights Z and the scaled duals U, in the dtype of the masters."""

    def __init__(self, settings, chooser, parameters):
        super().__init__(settings, chooser, parameters)
        self._nearest, self._duals = {}, {}

    def select(self, choose, optimizer):
        masters = homes(optimizer)
        weights = {name: values_of(self.parameters[name], masters)[0] for name in self._names()}
        sums = {name: w + self._duals[name] if name in self._duals else w.clone() for name, w in weights.items()}
        masks = choose({**self._others(), **sums}).masks
        for name, total in sums.items():
            self._nearest[name] = total * masks[name] if name in masks else total
            if name in self._duals:  # at the first selection there is nothing to have missed yet
                self._duals[name] += weights[name] - self._nearest[name]
            else:
                self._duals[name] = torch.zeros_like(total)

    def _names(self):
        return [name for name in self.parameters if name in self.chooser.owned]

    def _others(self):
        return {name: parameter.detach() for name, parameter in self.parameters.items()}

    def before_step(self, optimizer):
        masters = homes(optimizer)
        for name, nearest in self._nearest.items():
            parameter = self.parameters[name]
            pull = values_of(parameter, masters)[0] - nearest + self._duals[name]
            add_to_gradient(parameter, masters, optimizer, pull, self.settings.rho)

    def validated_values(self, choose):
        return self.masked(choose(None).masks)

    @property
    def metrics(self):
        """How far the weights are from being sparse, |W - Z| / |W|."""
        missing = sum(float((self.parameters[n].detach() - z).float().square().sum()) for n, z in self._nearest.items())
        whole = sum(float(self.parameters[n].detach().float().square().sum()) for n in self._nearest)
        return {"distance": (missing / whole) ** 0.5} if whole else {}

    def end(self, optimizer):
        super().end(optimizer)
        self._nearest, self._duals = {}, {}

    def state(self):
        return {"nearest": dict(self._nearest), "duals": dict(self._duals)} if self.active else None

    def load_state(self, state):
        super().load_state(state)
        for mine, stored in ((self._nearest, state["nearest"]), (self._duals, state["duals"])):
            mine.update({name: value.to(self.parameters[name].device) for name, value in stored.items()})
