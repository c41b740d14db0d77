"""Movement pruning: scores learn whether weights move away from zero or towards it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..compat import unscaled
from ..optim.masters import homes, master_gradient, values_of
from ..pruning.enforce import multiply
from ..pruning.times import Position
from .approach import APPROACHES, Select, Timed
from .option import ABOVE_0, REGULARISER, Option
from .straight_through import MaskedLoss

if TYPE_CHECKING:
    from fairseq.optim import FairseqOptimizer


@dataclass(frozen=True)
class Movement(Timed):
    """As :class:`~.straight_through.StraightThrough`, by scores that sum up -W dL/dW; removed weights are not trained.

    Source: Sanh et al., NeurIPS 2020 (arXiv:2005.07683), eqs. 3 and 6, hard movement pruning.
    """


@APPROACHES.add(Movement)
class MovementScores(MaskedLoss):
    """Hard: selections go by the sums of -W dL/dW; what is not selected does not learn, but its scores do."""

    options: tuple[Option, ...] = ()

    def __init__(self, *given: Any):
        super().__init__(*given)
        self._scores: dict[str, Tensor] = {}

    def begin(self, position: Position, layers: Sequence[str], select: Select, optimizer: FairseqOptimizer) -> None:
        self._scores = {
            name: torch.zeros_like(parameter, dtype=torch.float32)
            for name, parameter in self.parameters.items()
            if name in self.selector.owned
        }
        super().begin(position, layers, select, optimizer)

    def _evidence(self):
        return self._scores

    def before_step(self, optimizer: FairseqOptimizer) -> None:
        masters = homes(optimizer)
        gradients = {name: master_gradient(self.parameters[name], masters) for name in self._scores}
        found = {name: gradient for name, gradient in gradients.items() if gradient is not None}
        if not found:
            return
        products = torch._foreach_mul([gradient.float() for gradient in found.values()], unscaled(optimizer))
        weights = [values_of(self.parameters[name], masters)[0].float() for name in found]
        torch._foreach_mul_(products, weights)
        self._learn(list(found), products)
        numbers = self._numbers_in(next(iter(found.values())).dtype)
        masked = [name for name in numbers if name in found]
        multiply([found[name] for name in masked], [numbers[name] for name in masked])

    def _learn(self, names, gradients):
        """Let the scores of some parameters follow their gradients, two lists."""
        torch._foreach_sub_([self._scores[name] for name in names], gradients)

    def end(self, optimizer: FairseqOptimizer) -> None:
        super().end(optimizer)
        self._scores = {}

    def state(self) -> dict[str, Any] | None:
        state = super().state()
        return state and {**state, "scores": dict(self._scores)}

    def load_state(self, state: dict[str, Any]) -> None:
        super().load_state(state)
        self._scores = self._here(state["scores"])


@dataclass(frozen=True)
class SoftMovement(Timed):
    """As :class:`Movement`, but keeps the weights whose sigmoid(score) is above a threshold, however many they are.

    The loss gets the mean over matrices of their mean sigmoid(score). Scores begin at 0 and follow Adam.
    Source: the paper's section 4.2, soft movement pruning, with Adam as in the authors' code. Theirs lets threshold
    and weight grow; here both are constant, and the schedule says which part below the threshold is removed. One
    weight of a matrix is kept, where theirs keeps half a percent.

    Args:
        weight: of the regulariser in the loss.
        rate: learning rate of Adam for the scores.
    """

    weight: float = 1.0
    rate: float = 0.01


@APPROACHES.add(SoftMovement)
class SoftMovementScores(MovementScores):
    """Soft: scores follow Adam, a penalty pulls them down, and what sigmoid(score) says is kept or removed."""

    options: tuple[Option, ...] = (
        REGULARISER,
        Option("prune_score_lr", "rate", "learning rate of Adam for the scores", ABOVE_0, example="soft_movement"),
    )

    def __init__(self, *given: Any):
        super().__init__(*given)
        self._adam: torch.optim.Adam | None = None  # of the scores, once there are some

    def begin(self, position: Position, layers: Sequence[str], select: Select, optimizer: FairseqOptimizer) -> None:
        super().begin(position, layers, select, optimizer)
        self._adam = torch.optim.Adam(self._scores.values(), lr=self.settings.rate)

    def _evidence(self):
        return {name: score.sigmoid() for name, score in self._scores.items()}

    def _learn(self, names, gradients):
        for name, gradient in zip(names, gradients, strict=True):
            score = self._scores[name]
            open_now = score.sigmoid()
            share = self.settings.weight / (len(self._scores) * score.numel())
            score.grad = gradient + share * open_now * (1 - open_now)

    def after_step(self, optimizer: FairseqOptimizer) -> None:
        assert self._adam is not None
        self._adam.step()
        self._adam.zero_grad()

    @property
    def metrics(self) -> dict[str, float | Tensor]:
        """The mean over matrices of the mean sigmoid of their scores."""
        means = [score.sigmoid().mean() for score in self._scores.values()]
        return {"open": torch.stack(means).mean()} if means else {}

    def state(self) -> dict[str, Any] | None:
        state = super().state()
        if state is None or self._adam is None:
            return None
        return {**state, "adam": self._adam.state_dict()["state"]}

    def load_state(self, state: dict[str, Any]) -> None:
        super().load_state(state)
        self._adam = torch.optim.Adam(self._scores.values(), lr=self.settings.rate)
        self._adam.load_state_dict({**self._adam.state_dict(), "state": state["adam"]})
