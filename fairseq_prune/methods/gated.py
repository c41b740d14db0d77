"""Learnt gates, which say how much of a unit is needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..compat import unscaled
from ..optim.masters import homes, master_gradient, multiply_values, values_of
from ..pruning.enforce import multiply
from ..pruning.selecting.selection import Selection
from ..pruning.times import Position
from ..pruning.units import CoupledUnits, Support, UnitKind
from .approach import APPROACHES, Approach, Select, Timed
from .option import ABOVE_0, AT_LEAST_0, Option

if TYPE_CHECKING:
    from fairseq.optim import FairseqOptimizer


MOMENTUM = 0.9
GATE_L1 = Option("prune_gate_l1", "l1", "weight of the L1 penalty on gates", AT_LEAST_0, example="gate_decorators")
GATE_RATE = Option("prune_gate_lr", "rate", "learning rate of gates (default: the run's)", ABOVE_0, example="l0")


@dataclass(frozen=True)
class Gates(Timed):
    """Every unit is multiplied by a gate that is trained with it; units are removed by the size of their gates.

    Gates start at 1 and are trained with momentum 0.9 at the run's learning rate, without weight decay. A gate at or
    below the threshold becomes 0 permanently. At the end the gates are multiplied into the weights.
    Source: Meng et al., NeurIPS 2020 (arXiv:2009.14410), eqs. 4 to 6, for stripes: the filter skeleton. The paper
    removes what is below the threshold; here the run's target says how many are removed, those at 0 first. Others at 0
    begin anew from there.

    Args:
        l1: of the gates' absolute values in the loss.
        threshold: at which a gate closes.
        rate: learning rate of the gates; None: the run's.
    """

    l1: float = 1e-5
    threshold: float = 0.01
    rate: float | None = None


@APPROACHES.add(Gates)
class Gated(Approach):
    """Multiplies units by gates in training and validation, and steps the gates beside the optimizer.

    The gates of all layers are concatenated in one vector [gates], and so are their velocities and gradients.
    Subclasses override the gates' initial values, their effect on units, their penalty, and what a step does to
    them.
    """

    gated = until_the_end = True
    example_units = "node"
    options: tuple[Option, ...] = (
        GATE_L1,
        GATE_RATE,
        Option(
            "prune_gate_threshold", "threshold", "absolute value at which a gate closes", AT_LEAST_0, example="skeleton"
        ),
    )

    @classmethod
    def fits(cls, units: UnitKind) -> bool:
        """Coupled units only by what reads them: a norm after what writes them would undo a gate, a bias outlive it."""
        written = isinstance(units, CoupledUnits) and units.side == "writers"
        return super().fits(units) and not written and not isinstance(units, Support)

    def __init__(self, *given: Any):
        super().__init__(*given)
        self._lengths: dict[str, int] = {}
        self._gates = self._velocities = self._gradients = torch.empty(0)
        self._factors: dict[str, Tensor] = {}  # in force, of the values that the loss sees

    def begin(self, position: Position, layers: Sequence[str], select: Select, optimizer: FairseqOptimizer) -> None:
        self.active = True
        first = {name: self._first(torch.ones_like(self.selector.magnitudes(name))) for name in layers}
        self._gates = self._joined(first)
        self._velocities = torch.zeros_like(self._gates)

    def _joined(self, by_layer):
        """One vector of a dict of layer -> tensor, all alike."""
        self._lengths = {layer: len(part) for layer, part in by_layer.items()}
        return torch.cat(list(by_layer.values()))

    def _by_layer(self, values):
        """Undo :meth:`_joined`."""
        return dict(zip(self._lengths, values.split(list(self._lengths.values())), strict=True))

    def _first(self, ones):
        return ones

    def _trained(self):
        """Factors of units in training."""
        return self._gates

    def _settled(self):
        """Factors of units in validation, and for good."""
        return self._gates

    def _scores(self):
        """Scores of units in the end."""
        return self._gates.abs()

    def _pull(self):
        """The penalty's gradient."""
        return self.settings.l1 * self._gates.sign()

    def _chain(self, gradient):
        """The loss's gradient by the gates, given that by what units are multiplied by."""
        return gradient

    def _left(self, before, gates):
        """The gates after a step; once closed they stay so."""
        return gates * ((before != 0) & (gates.abs() > self.settings.threshold))

    def _factors_of(self, multipliers):
        """Dict of parameter name -> factors of its elements, from those of all units."""
        changes = {}  # elements of no unit: by 1
        for layer, change in self._by_layer(multipliers - 1).items():
            for name, part in self.selector.spread(layer, change).items():
                changes.setdefault(name, []).append(part)
        firsts = torch._foreach_add([parts[0] for parts in changes.values()], 1)
        factors = dict(zip(changes, firsts, strict=True))
        for name, (_, *others) in changes.items():
            for part in others:
                factors[name] = factors[name] * (1 + part)
        return factors

    def _multiplied(self, factors):
        values = {name: self.parameters[name].detach().clone() for name in factors}
        multiply(list(values.values()), list(factors.values()))
        return values

    def trained_values(self) -> dict[str, Tensor]:
        self._factors = self._factors_of(self._trained())
        return self._multiplied(self._factors)

    def validated_values(self, select: Select) -> dict[str, Tensor]:
        return self._multiplied(self._factors_of(self._settled()))

    def last_selection(self, select: Select) -> Selection:
        return select(self._evidence(self._scores()))

    def _evidence(self, scores):
        """Values to score instead of the weights, so that each unit scores its entry of a vector of all gates."""
        found: dict[str, Tensor] = {}
        for layer, part in self._by_layer(scores).items():
            for name, spread in self.selector.spread(layer, part).items():
                found[name] = found.get(name, 0) + spread.expand_as(self.parameters[name])
        return {**self.values, **found}

    def before_step(self, optimizer: FairseqOptimizer) -> None:
        masters, names = homes(optimizer), list(self._factors)
        found = [master_gradient(self.parameters[name], masters) for name in names]
        gradients = [
            torch.zeros_like(self.parameters[name]) if gradient is None else gradient
            for name, gradient in zip(names, found, strict=True)
        ]
        products = torch._foreach_mul(gradients, unscaled(optimizer))
        torch._foreach_mul_(products, [values_of(self.parameters[name], masters)[0] for name in names])
        multiply(gradients, list(self._factors.values()))
        named = dict(zip(names, products, strict=True))
        self._gradients = self._chain(torch.cat([self.selector.sum_over(layer, named) for layer in self._lengths]))

    def after_step(self, optimizer: FairseqOptimizer) -> None:
        rate = self.settings.rate or optimizer.get_lr()
        self._velocities.mul_(MOMENTUM).add_(self._gradients).add_(self._pull())
        self._gates = self._left(self._gates, self._gates - rate * self._velocities)

    @property
    def metrics(self) -> dict[str, float | Tensor]:
        """Share of the gates that are closed."""
        return {"closed": (self._settled() == 0).float().mean()}

    def end(self, optimizer: FairseqOptimizer) -> None:
        factors = self._factors_of(self._settled())
        multiply_values([self.parameters[name] for name in factors], list(factors.values()), homes(optimizer))
        super().end(optimizer)
        self._lengths, self._factors = {}, {}
        self._gates = self._velocities = self._gradients = torch.empty(0)

    def state(self) -> dict[str, Any] | None:
        if not self.active:
            return None
        return {"gates": self._by_layer(self._gates), "velocities": self._by_layer(self._velocities)}

    def load_state(self, state: dict[str, Any]) -> None:
        super().load_state(state)
        self._gates, self._velocities = (self._joined(self._here(state[part])) for part in ("gates", "velocities"))
