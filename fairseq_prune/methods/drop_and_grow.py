"""Dynamic sparse training: constant sparsity from the start, while weights are dropped and others grown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..optim.masters import homes, moments_of, values_of
from ..pruning.masks import pack_mask, unpack_mask
from ..pruning.registry import Registry
from ..pruning.regrow import cosine, drop_and_grow
from ..pruning.schedule import Schedule
from ..pruning.selecting.selection import Selection
from ..pruning.times import Position
from ..pruning.units import UnitKind, Weight
from .approach import APPROACHES, Approach, Select, Timed
from .option import Option

if TYPE_CHECKING:
    from fairseq.optim import FairseqOptimizer

GrowthScore = Callable[[str, Tensor, Mapping[str, Tensor], torch.Generator], Tensor]
GROWTHS: Registry[GrowthScore] = Registry("growth")  # functions that score removed weights; the highest grow


@GROWTHS.add("random")
def at_random(name: str, weight: Tensor, evidence: Mapping[str, Tensor], generator: torch.Generator) -> Tensor:
    """Random scores, so that any may grow: Mocanu et al. 2018 (arXiv:1707.04780), SET.

    Args:
        name: of the parameter.
        weight: its value.
        evidence: dict of parameter name -> what :attr:`DropAndGrow.evidence` names.
        generator: on the CPU.

    Returns:
        float tensor like the weight, higher = grow.
    """
    return torch.rand(weight.shape, generator=generator).to(weight.device)


@GROWTHS.add("gradient")
def by_gradient(name: str, weight: Tensor, evidence: Mapping[str, Tensor], generator: torch.Generator) -> Tensor:
    """The size of the loss's gradient: Evci et al., ICML 2020 (arXiv:1911.11134), RigL. As :func:`at_random`."""
    return evidence[name].abs()


@dataclass(frozen=True)
class DropAndGrow(Timed):
    """At every event the smallest weights are dropped, and as many others of the same tensor grow from 0.

    Args:
        grow: by what, name in :data:`GROWTHS`.
        drop: share of a tensor's weights to drop at the first such event, in (0, 1]; it falls to 0 along a cosine.
        events: of the schedule (count).
    """

    grow: str = "random"
    drop: float = 0.3
    events: int = 1

    @property
    def evidence(self) -> str | None:
        """Kind of evidence that growth needs at every event; None: none."""
        return "gradient" if self.grow == "gradient" else None


@APPROACHES.add(DropAndGrow)
class Regrowing(Approach):
    """Removes weights at its first event; at later ones as many of every tensor grow as are removed anew."""

    example_units = "weight"
    options: tuple[Option, ...] = (
        Option("prune_drop", "drop", "fraction of a tensor's weights dropped and grown at first", example="rigl"),
    )

    @classmethod
    def fits(cls, units: UnitKind) -> bool:
        return isinstance(units, Weight)

    @classmethod
    def completed(
        cls, settings: DropAndGrow, options: Mapping[str, Any], schedule: Schedule, single_weights: bool
    ) -> DropAndGrow:
        return replace(settings, events=schedule.num_events)

    @classmethod
    def check(cls, settings: DropAndGrow, units: UnitKind, schedule: Schedule) -> None:
        if not 0 < settings.drop <= 1:
            raise ValueError(f"--prune-drop {settings.drop}: give a share above 0 and at most 1, e.g. 0.3")

    def __init__(self, *given: Any):
        super().__init__(*given)
        self._masks: dict[str, Tensor] = {}
        self._moves = 0  # the first selection draws from the seed itself: what it removed would never grow
        self._generator = torch.Generator().manual_seed(self.seed + 0x5EED)

    def begin(
        self, position: Position, layers: Sequence[str], select: Select, optimizer: FairseqOptimizer
    ) -> Selection:
        self.active, self._masks = True, dict(select(None).checked().masks)
        return Selection(dict(self._masks))

    def reselect(self, select: Select, optimizer: FairseqOptimizer) -> Selection:
        share = cosine(self.settings.drop, self._moves / max(1, self.settings.events - 1))
        evidence = select.gather(self.settings.evidence) if self.settings.evidence else {}
        growth, masters = GROWTHS[self.settings.grow], homes(optimizer)
        for name in (name for name in self.parameters if name in self._masks and name in self.selector.owned):
            parameter, keep = self.parameters[name], self._masks[name]
            weight = values_of(parameter, masters)[0]
            for moment in moments_of(parameter, masters, optimizer):
                moment.mul_(keep)  # those of what grows begin at 0, too
            self._masks[name] = drop_and_grow(weight, keep, share, growth(name, weight, evidence, self._generator))
        self._moves += 1
        return Selection(dict(self._masks))

    def last_selection(self, select: Select) -> Selection:
        return Selection(dict(self._masks))

    def end(self, optimizer: FairseqOptimizer) -> None:
        super().end(optimizer)
        self._masks = {}

    def state(self) -> dict[str, Any] | None:
        if not self.active:
            return None
        masks = {name: pack_mask(keep) for name, keep in self._masks.items()}
        return {"masks": masks, "moves": self._moves, "generator": self._generator.get_state()}

    def load_state(self, state: dict[str, Any]) -> None:
        super().load_state(state)
        self._masks = self._here({name: unpack_mask(packed) for name, packed in state["masks"].items()})
        self._moves = state["moves"]
        self._generator.set_state(state["generator"].cpu())
