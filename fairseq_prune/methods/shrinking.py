"""Freeze and shrink: selected units are frozen while their multipliers fall to 0."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from torch import Tensor

from ..needs import Need
from ..optim.masters import homes, values_of
from ..pruning.devices import on_host
from ..pruning.enforce.hold import HeldElements
from ..pruning.masks import checksum, pack_mask, unpack_mask
from ..pruning.selecting import Selection
from ..pruning.selecting.widths import WidthSelector
from ..pruning.shrink import SHRINKINGS
from ..pruning.surgery.table import owned_elements
from ..pruning.times import Position
from ..pruning.units import UnitKind, Width
from .approach import APPROACHES, Approach, Select, Timed
from .option import Option

if TYPE_CHECKING:
    from fairseq.optim import FairseqOptimizer


logger = logging.getLogger(__name__)
_EPOCHS = Need(lambda run: not run.plan.approach.updates, "it without --srp-pruning-updates")


@dataclass(frozen=True)
class Shrink(Timed):
    """A round in which the multipliers (connectivity) of selected units fall from 1 to 0, with their weights frozen.

    All other weights train on and take over; there is no penalty in the loss. Source: SRP.

    Args:
        decreasing: name in the table of shrinkings.
        epochs: in a round; it ends with the last of them.
        updates: in a round, instead.

    Raises:
        ValueError: naming the option, the value and a valid example.
    """

    decreasing: str = "sa"
    epochs: int = 15
    updates: int | None = None

    def __post_init__(self):
        for option, value in (("--pruning-period", self.epochs), ("--srp-pruning-updates", self.updates)):
            if value is not None and value < 1:
                raise ValueError(f"{option} {value}: give at least 1, e.g. 15")
        try:
            by_epochs = SHRINKINGS[self.decreasing].counts == "ep"
        except ValueError as error:
            raise ValueError(f"--decreasing {self.decreasing}: {error}") from None
        if by_epochs and self.updates:
            raise ValueError(
                f"--decreasing {self.decreasing}: shrinks by epochs; with --srp-pruning-updates give e.g. sa"
            )

    @property
    def updates_needed(self) -> int:
        return self.updates or 0

    @property
    def epochs_needed(self) -> int:
        return 0 if self.updates else self.epochs

    @property
    def shorter(self) -> str:
        return f"a lower --srp-pruning-updates than {self.updates}" if self.updates else (
            f"a lower --pruning-period than {self.epochs}"
        )  # fmt: skip


@APPROACHES.add(Shrink)
class FreezeAndShrink(Approach):
    """Runs one round after the other, each with its own selection.

    Selected weights stay as they are to the bit, from the first step on, weight decay included, and get no gradient
    that would count in the norm.
    """

    selector: WidthSelector
    model: Any  # with connectivity
    takes_evidence = in_rounds = True
    needs_end = False
    example_units = "width"
    options = (
        Option(
            "decreasing",
            "decreasing",
            "shrink by step (s) or epoch (e), arithmetically (a) or geometrically (g)",
            type=str,
            example="srp",
        ),
        Option("pruning_period", "epochs", "epochs in a round", type=int, example="srp", needs=_EPOCHS),
        Option(
            "srp_pruning_updates", "updates", "updates in a round, instead of --pruning-period", type=int, example="srp"
        ),
    )

    also_when_skipped = True  # looking whether a step is would wait for the GPU

    @classmethod
    def fits(cls, units: UnitKind) -> bool:
        return isinstance(units, Width)

    def __init__(self, *given: Any):
        super().__init__(*given)
        self._removed: dict[str, Tensor] = {}
        self._held: HeldElements | None = None  # from the round's first update on
        self._multiplied: Any = None  # likewise, :class:`~fairseq_prune.modules.multiplied.Multiplied`
        self._began, self._length, self._value = Position(), 0, 1.0

    def begin(self, position: Position, layers: Sequence[str], select: Select, optimizer: FairseqOptimizer) -> None:
        self.active, self._began = True, position
        self._length = self.settings.updates
        if not self._length:
            assert position.updates_until is not None  # in training
            self._length = position.updates_until(self.settings.epochs)
        self._removed = {vector: ~units for vector, units in select(None).keep.items()}
        removed = sum(int(units.sum()) for units in self._removed.values())
        logger.info(
            f"{removed:,} units are removed within {self._length} updates (selection {checksum(self._removed):08x})"
        )

    def last_selection(self, select: Select) -> Selection:
        return Selection({}, {vector: ~units for vector, units in self._removed.items()})

    def before_update(self, position: Position, select: Select, optimizer: FairseqOptimizer) -> None:
        if not self._held:
            self._hold(optimizer)
        self._value = self._value_at(position)
        self._multiplied.shrink(self._value)

    def _hold(self, optimizer):
        """Hold the elements of the units that are being removed, and of those removed before that could not be cut."""
        table, self._removed = self.selector.table, self._here(self._removed)
        fallen = {name: c.vector == 0 for name, c in self.model.connectivity.items() if not c.idle}
        units = fallen | {name: these | fallen.get(name, these) for name, these in self._removed.items()}
        owned = {p: owned_elements(p.shape, table.get(name, ()), units) for name, p in self.parameters.items()}
        where = {p: elements for p, elements in owned.items() if elements is not None}
        self._held = HeldElements(where, partial(values_of, masters=homes(optimizer)))
        self._multiplied = self.model.falling(self._removed)
        if all(map(on_host, where)):
            self.model.leave_out(self._removed)

    def trained_values(self) -> dict[str, Tensor]:
        """Products with connectivity, all at once instead of layer by layer."""
        return self._multiplied.products(self._value)

    @contextmanager
    def in_training(self) -> Iterator[None]:
        with super().in_training(), self._multiplied.in_weights():
            yield

    def _value_at(self, position):
        """The multiplier in an update, in [0, 1]."""
        if self.is_over(position):
            return 0.0
        shrinking = SHRINKINGS[self.settings.decreasing]
        if shrinking.counts == "ep":
            return shrinking.value(position.epochs + 1 - self._began.epochs, self.settings.epochs)
        return shrinking.value(position.updates + 1 - self._began.updates, self._length)

    def is_over(self, position: Position) -> bool:
        """True in the last update of the round.

        Epochs are over when fairseq says so, however many updates they had: with fp16 or AMP, fewer come if some
        overflow.
        """
        if self.settings.updates:
            return position.updates + 1 >= self._began.updates + self._length
        epoch = position.epochs + 1 - self._began.epochs
        return epoch > self.settings.epochs or (epoch == self.settings.epochs and position.ends_epoch)

    def after_backward(self) -> None:
        assert self._held is not None  # before_update comes first
        self._held.clear()

    def after_step(self, optimizer: FairseqOptimizer) -> None:
        assert self._held is not None
        self._held.restore(partial(values_of, masters=homes(optimizer)))

    def end(self, optimizer: FairseqOptimizer) -> None:
        super().end(optimizer)
        self._removed, self._held, self._multiplied = {}, None, None
        self.model.leave_out({})

    @property
    def metrics(self) -> dict[str, float | Tensor]:
        return {"connectivity": self._value}

    def state(self) -> dict[str, Any] | None:
        return self.active and {
            "updates": self._began.updates,
            "epochs": self._began.epochs,
            "length": int(self._length),
            "selected": {vector: pack_mask(units) for vector, units in self._removed.items()},
        } or None  # fmt: skip

    def load_state(self, state: dict[str, Any]) -> None:
        super().load_state(state)
        self._began, self._length = Position(state["epochs"], state["updates"]), state["length"]
        self._removed = {vector: unpack_mask(units) for vector, units in state["selected"].items()}
