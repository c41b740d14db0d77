"""L0 regularisation: stochastic gates, and a penalty for every gate that may be open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..pruning.hard_concrete import BOUND, chance_open, draw_noise, sample, settled
from ..pruning.times import Position
from .approach import APPROACHES, Select, Timed
from .gated import GATE_RATE, Gated
from .option import REGULARISER, Option

if TYPE_CHECKING:
    from fairseq.optim import FairseqOptimizer


SPREAD = 0.01  # standard deviation of the first parameters


@dataclass(frozen=True)
class HardConcrete(Timed):
    """Multiplies every unit by a stochastic gate, often exactly 0 or 1, and adds a penalty on open gates to the loss.

    At every update one gate is drawn for each unit, for the whole batch; validation takes the gates that need no
    drawing. In the end units are removed whose gate then is 0, and the other gates are multiplied into the weights.
    Source: Louizos et al., ICLR 2018 (arXiv:1712.01312), eqs. 9 to 13. Theirs multiplies what makes a unit, ours what
    reads it, which batch norm cannot undo; theirs charges by the number of parameters over that of training examples,
    ours by the share of the parameters; their prior on the weights is the run's own weight decay.

    Args:
        weight: of the expected share of the weights whose gates are open in the loss.
        rate: learning rate of the gates; None: the run's.
    """

    weight: float = 10.0
    rate: float | None = None


@APPROACHES.add(HardConcrete)
class HardConcreteGates(Gated):
    """The gates' parameters are log alphas. Noise is drawn once an update, the same on every rank."""

    options: tuple[Option, ...] = (
        REGULARISER,
        GATE_RATE,
    )

    def __init__(self, *given: Any):
        super().__init__(*given)
        self._generator = torch.Generator().manual_seed(self.seed)
        self._noise = torch.empty(0)
        self._drawn: int | None = None
        self._shares: Tensor | None = None

    def _first(self, ones):
        return ones * SPREAD * torch.randn(len(ones), generator=self._generator).to(ones)

    def before_update(self, position: Position, select: Select, optimizer: FairseqOptimizer) -> None:
        """Draw; accumulated batches and retries of an update come with its number again."""
        if position.updates != self._drawn:
            self._drawn = position.updates
            self._noise = draw_noise(len(self._gates), self._generator).to(self._gates, non_blocking=True)

    def _trained(self):
        return sample(self._gates, self._noise)

    def _settled(self):
        return settled(self._gates).clamp(0, 1)

    def _scores(self):
        return settled(self._gates)

    def _chain(self, gradient):
        return _gradient(lambda gates: sample(gates, self._noise), self._gates, gradient)

    def _pull(self):
        return _gradient(chance_open, self._gates, self.settings.weight * self._charges())

    def _charges(self):
        """The share of all gated weights that each unit has, on all sides: float [gates]."""
        if self._shares is None:
            ones = {name: torch.ones_like(p, dtype=torch.float32) for name, p in self.values.items()}
            sides = ([side.sum_over(name, ones) for side in self.selector.sides] for name in self._lengths)
            sizes = torch.cat([torch.stack(of_each).sum(0) for of_each in sides])
            self._shares = sizes / sizes.sum()
        return self._shares

    def _left(self, before, gates):
        return gates.clamp(-BOUND, BOUND)

    @property
    def metrics(self) -> dict[str, float | Tensor]:
        """Also the share of the gated weights that a draw is expected to let in."""
        return {**super().metrics, "open": (self._charges() * chance_open(self._gates)).sum()}

    def state(self) -> dict[str, Any] | None:
        state = super().state()
        return state and {**state, "generator": self._generator.get_state(), "drawn": self._drawn}

    def load_state(self, state: dict[str, Any]) -> None:
        super().load_state(state)
        self._generator.set_state(state["generator"].cpu())
        self._drawn = state["drawn"]


def _gradient(function, parameter, by_output):
    """The gradient by a parameter, given that by the output of a function of it."""
    with torch.enable_grad():
        leaf = parameter.detach().requires_grad_()
        return torch.autograd.grad(function(leaf), leaf, by_output)[0]
