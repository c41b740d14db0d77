"""ADMM, which pulls weights towards the nearest sparse ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..optim.masters import add_to_gradients, homes, values_of
from .approach import APPROACHES, Approach, Select, Timed
from .option import ABOVE_0, Option

if TYPE_CHECKING:
    from fairseq.optim import FairseqOptimizer


@dataclass(frozen=True)
class Lagrangian(Timed):
    """Weights W are drawn to the nearest ones Z that are as sparse as wanted: ADMM.

    The loss gets rho/2 |W - Z + U|^2; at every selection Z is what it keeps of W + U, then U grows by W - Z.
    Source: Zhang et al., ECCV 2018 (arXiv:1804.03294), eqs. 4 to 9, in scaled form.

    Args:
        rho: weight of the penalty.
    """

    rho: float = 1e-3


@APPROACHES.add(Lagrangian)
class Drawn(Approach):
    """Keeps the nearest sparse weights Z and the scaled duals U, in the dtype of the masters."""

    options = (Option("prune_rho", "rho", "weight of the penalty", ABOVE_0, example="admm"),)

    def __init__(self, *given: Any):
        super().__init__(*given)
        self._nearest: dict[str, Tensor] = {}
        self._duals: dict[str, Tensor] = {}
        self._distance = 0.0

    def reselect(self, select: Select, optimizer: FairseqOptimizer) -> None:
        masters, owned = homes(optimizer), self.selector.owned
        weights = {name: values_of(p, masters)[0] for name, p in self.parameters.items() if name in owned}
        sums = {name: w + self._duals[name] if name in self._duals else w.clone() for name, w in weights.items()}
        masks = select({**self.values, **sums}).masks
        for name, total in sums.items():
            self._nearest[name] = total * masks[name] if name in masks else total
            if name in self._duals:  # at the first selection there is nothing to have missed yet
                self._duals[name] += weights[name] - self._nearest[name]
            else:
                self._duals[name] = torch.zeros_like(total)
        missing = sum(float((weights[name] - near).float().square().sum()) for name, near in self._nearest.items())
        whole = sum(float(weight.float().square().sum()) for weight in weights.values())
        self._distance = (missing / whole) ** 0.5 if whole else 0.0

    def before_step(self, optimizer: FairseqOptimizer) -> None:
        masters = homes(optimizer)
        weights = [values_of(self.parameters[name], masters)[0] for name in self._nearest]
        pulls = torch._foreach_sub(weights, list(self._nearest.values()))
        torch._foreach_add_(pulls, [self._duals[name] for name in self._nearest])
        terms = dict(zip(self._nearest, pulls, strict=True))
        add_to_gradients(self.parameters, masters, optimizer, terms, self.settings.rho)

    def validated_values(self, select: Select) -> dict[str, Tensor]:
        return self.masked(select(None).masks)

    @property
    def metrics(self) -> dict[str, float | Tensor]:
        """How far the weights were from being sparse at the last selection, |W - Z| / |W|."""
        return {"distance": self._distance}

    def end(self, optimizer: FairseqOptimizer) -> None:
        super().end(optimizer)
        self._nearest, self._duals = {}, {}

    def state(self) -> dict[str, Any] | None:
        if not self.active:
            return None
        return {"nearest": dict(self._nearest), "duals": dict(self._duals), "distance": self._distance}

    def load_state(self, state: dict[str, Any]) -> None:
        super().load_state(state)
        self._distance = state["distance"]
        for mine, stored in ((self._nearest, state["nearest"]), (self._duals, state["duals"])):
            mine.update({name: value.to(self.parameters[name].device) for name, value in stored.items()})
