"""L0: random gates, and a charge for every one that may be open."""

import torch

from ..pruning.hard_concrete import BOUND, chance_open, draw_noise, sample, settled
from .gated import Gated

SPREAD = 0.01  # standard deviation of the first parameters


class HardConcreteGates(Gated):
    """The gates' parameters are log alphas. Noise is drawn once an update, the same on every rank."""

    def __init__(self, *given):
        super().__init__(*given)
        self._generator = torch.Generator().manual_seed(self.seed)
        self._noise, self._drawn, self._shares = {}, None, {}

    def _first(self, ones):
        return ones * SPREAD * torch.randn(len(ones), generator=self._generator).to(ones)

    def before_update(self, position, choose, optimizer):
        """Draw; accumulated batches and retries of an update come with its number again."""
        if position.updates != self._drawn:
            self._drawn = position.updates
            self._noise = {name: draw_noise(len(g), self._generator).to(g) for name, g in self._gates.items()}

    def _trained(self, layer):
        return sample(self._gates[layer], self._noise[layer])

    def _settled(self, layer):
        return settled(self._gates[layer]).clamp(0, 1)

    def _worth(self, layer):
        return settled(self._gates[layer])

    def _chain(self, layer, gradient):
        return _gradient(lambda gate: sample(gate, self._noise[layer]), self._gates[layer], gradient)

    def _pull(self, layer):
        charge = self.settings.weight * self._charges()[layer]
        return _gradient(chance_open, self._gates[layer], charge)

    def _charges(self):
        """Dict of layer -> the share of all gated weights that each of its units has, on all sides."""
        if not self._shares:
            ones = {name: torch.ones_like(p, dtype=torch.float32) for name, p in self.values.items()}
            sizes = {name: sum(side.sum_over(name, ones) for side in self.chooser.sides) for name in self._gates}
            total = sum(size.sum() for size in sizes.values())
            self._shares = {name: size / total for name, size in sizes.items()}
        return self._shares

    def _left(self, before, gate):
        return gate.clamp(-BOUND, BOUND)

    @property
    def metrics(self):
        """Also the share of the gated weights that a draw is expected to let in."""
        charges = self._charges()
        open_now = sum(float((charges[name] * chance_open(gate)).sum()) for name, gate in self._gates.items())
        return {**super().metrics, "open": open_now}

    def state(self):
        state = super().state()
        return state and {**state, "generator": self._generator.get_state(), "drawn": self._drawn}

    def load_state(self, state):
        super().load_state(state)
        self._generator.set_state(state["generator"].cpu())
        self._drawn = state["drawn"]


def _gradient(function, parameter, by_output):
    """By a parameter, given that by a function of it."""
    with torch.enable_grad():
        leaf = parameter.detach().requires_grad_()
        return torch.autograd.grad(function(leaf), leaf, by_output)[0]
