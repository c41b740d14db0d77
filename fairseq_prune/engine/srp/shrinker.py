"""The shrinker: one model's SRP plan and its position in it."""

import logging
from dataclasses import dataclass, field

import torch

from ...compat import forget_best
from ...pruning.budget.widths import BUDGETS
from ...pruning.enforce.hold import HeldElements
from ...pruning.masks import checksum, pack_mask, unpack_mask
from ...pruning.shrink import SHRINKINGS
from ...pruning.surgery.choose import choose
from ...pruning.surgery.table import owned_elements, unit_norms
from .. import ranks
from ..masters import homes, values_of
from .cut import cut_in_run
from .plan import STAGES

logger = logging.getLogger(__name__)


@dataclass
class Window:
    """A round of shrinking in progress.

    Args:
        updates: completed when it began (count).
        epochs: completed when it began (count).
        length: updates until the cut (count).
        selected: dict of vector name -> bool tensor [length], True = leaves.
        held: dict of parameter -> :class:`~fairseq_prune.pruning.enforce.hold.HeldElements`.
    """

    updates: int
    epochs: int
    length: int
    selected: dict
    held: dict = field(default_factory=dict)


class Shrinker:
    """Selects units, freezes them while their connectivity shrinks to 0, and cuts them out.

    Args:
        model: an SRP Transformer if the plan prunes; else any.
        plan: :class:`~.plan.SrpPlan`.
        masked: the :class:`~fairseq_prune.engine.masked_model.MaskedModel` of the same model.
        averaged: the run keeps moving averages (--store-ema), whose shapes cannot follow a cut.

    Attributes:
        model: the model.
        rounds_done: rounds that are over (count).

    Raises:
        ValueError: the plan prunes and the model has no connectivity.
    """

    def __init__(self, model, plan, masked, averaged=False):
        if plan.prunes and not hasattr(model, "connectivity"):
            raise ValueError("--arch: SRP needs an architecture with connectivity, e.g. --arch srp_transformer")
        self.rounds_done = 0
        self.model, self._plan, self._masked, self._averaged = model, plan, masked, averaged
        self._window = None

    @property
    def pending(self):
        """True as long as the plan has something to cut."""
        return self._plan.prunes and self.rounds_done < self._plan.rounds

    @property
    def parameters_left(self):
        """Parameters of the model as it stands (count)."""
        return sum(p.numel() for p in self.model.parameters())

    def before_update(self, optimizer, epochs, updates, updates_in, score):
        """Begin a round if it is due, and set the connectivity of the update that comes.

        Args:
            optimizer: the fairseq optimizer.
            epochs: completed epochs (count).
            updates: completed updates (count).
            updates_in: function from an epoch's number to its updates (count).
            score: function -> dict of vector name -> scores; called only to select.
        """
        if not self.pending:
            return
        if self._window is None:
            if not self._is_due(epochs):
                return
            length = self._plan.shrinks and (
                self._plan.updates or sum(updates_in(epochs + i) for i in range(1, self._plan.period + 1))
            )
            self._window = Window(updates, epochs, int(length), self._select(score()))
            logger.info(self._describe())
        if not self._plan.shrinks:
            self._finish(optimizer)
            return
        if not self._window.held:
            self._hold(optimizer)
        self._set_connectivity(self.value(epochs, updates))

    def value(self, epochs, updates):
        """The connectivity of selected units in the update that comes, in [0, 1]; 1 outside of rounds."""
        if self._window is None:
            return 1.0
        shrinking = SHRINKINGS[self._plan.decreasing]
        if shrinking.counts == "ep":
            return shrinking.value(epochs + 1 - self._window.epochs, self._plan.period)
        return shrinking.value(min(updates + 1 - self._window.updates, self._window.length), self._window.length)

    def after_backward(self):
        """Keep selected units out of the gradient, before it is clipped."""
        if self._window:
            for parameter, held in self._window.held.items():
                if parameter.grad is not None:
                    held.clear(parameter.grad)

    def after_step(self, optimizer, updates):
        """Put selected units back to their values; at the end of a round, cut.

        Args:
            optimizer: the fairseq optimizer.
            updates: completed before this step (count).
        """
        if self._window is None:
            return
        masters = homes(optimizer)
        for parameter, held in self._window.held.items():
            held.restore(values_of(parameter, masters))
        if updates + 1 >= self._window.updates + self._window.length:
            self._finish(optimizer)

    def state(self):
        """The position, as plain values and tensors."""
        window = self._window and {
            "updates": self._window.updates,
            "epochs": self._window.epochs,
            "length": self._window.length,
            "selected": {name: pack_mask(units) for name, units in self._window.selected.items()},
        }
        return {"rounds_done": self.rounds_done, "window": window, "plan": self._plan.plain()}

    def load_state(self, state):
        """Take up the position of an interrupted run.

        Raises:
            ValueError: the interrupted run had another plan.
        """
        for name, value in self._plan.plain().items():
            before = state["plan"].get(name)
            if before != value:
                raise ValueError(
                    f"the interrupted run had {name} {before}, this one has {value}; resume with the same options, "
                    "or go on from its weights with --pretrained-model and a new --save-dir"
                )
        self.rounds_done, window = state["rounds_done"], state["window"]
        if window:
            selected = {name: unpack_mask(units) for name, units in window.pop("selected").items()}
            self._window = Window(**window, selected=selected)

    def _is_due(self, epochs):
        rounds_before = 0 if self._plan.updates else self.rounds_done * self._plan.period
        return epochs >= self._plan.warming_up + rounds_before

    def _select(self, scores):
        """Units that leave in this round, dict of vector name -> bool tensor [length]."""
        model, plan = self.model, self._plan
        alive = {name: c.vector != 0 for name, c in model.connectivity.items()}
        chosen = [v for v in model.vectors if v.kind in STAGES[plan.stage]]
        others = {v.name: int(alive[v.name].sum()) for v in model.vectors if v not in chosen}
        widths = BUDGETS[plan.budget](
            model.original_shapes, model.table, model.vectors, plan.rate, others, plan.rounds, self.rounds_done + 1
        )
        parameters = dict(model.named_parameters())
        sizes = {v.name: unit_norms(model.table, parameters, v.name) for v in chosen}
        selected = choose(scores, widths, chosen, alive, sizes)
        ranks.require_equal(checksum(selected), "selected units", next(model.parameters()).device)
        return selected

    def _hold(self, optimizer):
        """Remember what belongs to the selected units."""
        masters, selected = homes(optimizer), self._window.selected
        for name, parameter in self.model.named_parameters():
            units = {v: units.to(parameter.device) for v, units in selected.items()}
            where = owned_elements(parameter.shape, self.model.table.get(name, ()), units)
            if where is not None:
                self._window.held[parameter] = HeldElements(where, values_of(parameter, masters))

    @torch.no_grad()
    def _set_connectivity(self, value):
        for name, units in self._window.selected.items():
            connectivity = self.model.connectivity[name]
            connectivity.vector.masked_fill_(units.to(connectivity.vector.device), value)
            connectivity.refresh()

    def _finish(self, optimizer):
        self._set_connectivity(0.0)
        self._window = None
        self.rounds_done += 1
        keep = {name: c.vector != 0 for name, c in self.model.connectivity.items()}
        if ranks.world_size() == 1 and not homes(optimizer) and not self._averaged:
            cut_in_run(self.model, keep, optimizer, self._masked)
            done = "cut"
        else:
            done = "connectivity 0, to be cut by fairseq-prune compact or by the run that finetunes it"
        if not self.pending:
            forget_best()
        logger.info(f"round {self.rounds_done}/{self._plan.rounds}: {done}; {self.parameters_left:,} parameters")

    def _describe(self):
        selected = sum(int(units.sum()) for units in self._window.selected.values())
        units = sum(v.length for v in self.model.vectors)
        return (
            f"round {self.rounds_done + 1}/{self._plan.rounds}: {selected:,} of {units:,} units leave within "
            f"{self._window.length} updates (selection {checksum(self._window.selected):08x})"
        )
