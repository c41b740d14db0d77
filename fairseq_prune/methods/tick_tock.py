"""Gates that are trained in turns alone and with the weights, and are closed by their effect on the loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..optim.masters import Home, homes
from ..pruning.schedule import Schedule
from ..pruning.times import Position
from ..pruning.units import UnitKind
from .approach import APPROACHES, Select, Timed
from .gated import GATE_L1, GATE_RATE, Gated
from .option import ABOVE_0, Option

if TYPE_CHECKING:
    from fairseq.optim import FairseqOptimizer


@dataclass(frozen=True)
class TickTock(Timed):
    """Gates as in :class:`Gates`, trained in turns alone (tick) and with the weights (tock).

    Intervals between selections are tocks first, then ticks, and so on. A tick adds up |gate times its gradient| over
    updates and then closes the gates of the smallest sums, as many as the schedule says; tocks alone have the penalty.
    Source: You et al., NeurIPS 2019 (arXiv:1909.08174), gate decorators, eqs. 4 to 8. Their gates take the place of
    batch norm's scales, ours begin at 1 behind norm and activation; their classifier learns in ticks, too.

    Args:
        l1: of the gates' absolute values in the loss, in tocks.
        ticks: intervals that are ticks, one after the other (count).
        tocks: intervals that are tocks, one after the other (count).
        rate: learning rate of the gates; None: the run's.
    """

    l1: float = 1e-3
    ticks: int = 10
    tocks: int = 10
    rate: float | None = None


@APPROACHES.add(TickTock)
class TickTockGates(Gated):
    """Counts the intervals between selections, and what gates do in ticks."""

    until_the_end = False
    options: tuple[Option, ...] = (
        GATE_L1,
        GATE_RATE,
        Option("prune_ticks", "ticks", "intervals that train gates only", ABOVE_0, int, example="gate_decorators"),
        Option(
            "prune_tocks",
            "tocks",
            "intervals before them that train everything",
            ABOVE_0,
            int,
            example="gate_decorators",
        ),
    )

    def __init__(self, *given: Any):
        super().__init__(*given)
        self._interval = 0
        self._effects = torch.empty(0)
        self._aside: dict[Tensor, Tensor | None] = {}  # gradients, while a step is taken without them

    @classmethod
    def check(cls, settings: TickTock, units: UnitKind, schedule: Schedule) -> None:
        intervals = schedule.num_events - 1
        if intervals <= settings.tocks:
            raise ValueError(
                f"--prune-tocks {settings.tocks}: leaves no tick in the {intervals} intervals of the schedule "
                f"({schedule}); give e.g. --prune-tocks 1"
            )

    def begin(self, position: Position, layers: Sequence[str], select: Select, optimizer: FairseqOptimizer) -> None:
        super().begin(position, layers, select, optimizer)
        self._interval, self._effects = 0, torch.zeros_like(self._gates)

    @property
    def _ticks(self):
        """True while the gates learn alone."""
        return self._interval % (self.settings.tocks + self.settings.ticks) >= self.settings.tocks

    def reselect(self, select: Select, optimizer: FairseqOptimizer) -> None:
        """The end of an interval: a tick closes gates."""
        if self._ticks:
            selection = self.last_selection(select)
            self._gates = self._gates * ~torch.cat([self.selector.removed(layer, selection) for layer in self._lengths])
        self._interval += 1
        if self._ticks:
            self._effects = torch.zeros_like(self._gates)

    def _scores(self):
        return self._effects.masked_fill(self._gates == 0, -1.0)

    def _pull(self):
        return 0.0 if self._ticks else self.settings.l1 * self._gates.sign()

    def _left(self, before, gates):
        return gates * (before != 0)

    def before_step(self, optimizer: FairseqOptimizer) -> None:
        super().before_step(optimizer)
        if self._ticks:
            masters = homes(optimizer)
            keys = {masters.get(parameter, Home(parameter)).key for parameter in self.parameters.values()}
            self._aside = {key: key.grad for key in keys}
            for key in keys:
                key.grad = None  # neither momentum nor decay

    def after_step(self, optimizer: FairseqOptimizer) -> None:
        for key, gradient in self._aside.items():
            key.grad = gradient  # fairseq zeroes that of flat masters, so there has to be one
        self._aside = {}
        if self._ticks:
            self._effects += (self._gates * self._gradients).abs()
        super().after_step(optimizer)

    def state(self) -> dict[str, Any] | None:
        state = super().state()
        return state and {**state, "interval": self._interval, "effects": self._by_layer(self._effects)}

    def load_state(self, state: dict[str, Any]) -> None:
        super().load_state(state)
        self._interval, self._effects = state["interval"], self._joined(self._here(state["effects"]))
