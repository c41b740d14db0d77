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
        self._noise, self._drawn, self._shares = None, None, None

    def _first(self, ones):
        return ones * SPREAD * torch.randn(len(ones), generator=self._generator).to(ones)

    def before_update(self, position, choose, optimizer):
        """Draw; accumulated batches and retries of an update come with its number again."""
        if position.updates != self._drawn:
            self._drawn = position.updates
            self._noise = draw_noise(len(self._gates), self._generator).to(self._gates, non_blocking=True)

    def _trained(self):
        return sample(self._gates, self._noise)

    def _settled(self):
        return settled(self._gates).clamp(0, 1)

    def _worth(self):
        return settled(self._gates)

    def _chain(self, gradient):
        return _gradient(lambda gates: sample(gates, self._noise), self._gates, gradient)

    def _pull(self):
        return _gradient(chance_open, self._gates, self.settings.weight * self._charges())

    def _charges(self):
        """The share of all gated weights that each unit has, on all sides: float [gates]."""
        if self._shares is None:
            ones = {name: torch.ones_like(p, dtype=torch.float32) for name, p in self.values.items()}
            sizes = [sum(side.sum_over(name, ones) for side in self.chooser.sides) for name in self._lengths]
            self._shares = torch.cat(sizes) / sum(size.sum() for size in sizes)
        return self._shares

    def _left(self, before, gates):
        return gates.clamp(-BOUND, BOUND)

    @property
    def metrics(self):
        """Also the share of the gated weights that a draw is expected to let in."""
        return {**super().metrics, "open": (self._charges() * chance_open(self._gates)).sum()}

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
