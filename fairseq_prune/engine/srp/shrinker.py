"""The shrinker: one model's SRP plan and its position in it."""

import logging
from dataclasses import dataclass, field

import torch

from ...compat import forget_best
from ...optim.masters import homes, values_of
from ...pruning.budget.widths import BUDGETS
from ...pruning.enforce.hold import HeldElements
from ...pruning.masks import checksum, pack_mask, unpack_mask
from ...pruning.selecting.widths import choose
from ...pruning.shrink import SHRINKINGS
from ...pruning.surgery.table import owned_elements, unit_norms
from .. import ranks
from ..cut import cut_in_run, may_cut
from .plan import OPTIONS, STAGES

logger = logging.getLogger(__name__)


@dataclass
class Window:
    """A round of shrinking in progress.

    Args:
        updates: completed when it began (count).
        epochs: completed when it began (count).
        length: updates until the cut (count); with fp16 or AMP, fewer come if some overflow.
        selected: dict of vector name -> bool tensor [length], True = leaves; vectors that lose nothing
            are not in it.
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
        parameters_left: of the model, when they were last counted (count).

    Raises:
        ValueError: the plan prunes, and the model has no connectivity or cannot become that small.
    """

    def __init__(self, model, plan, masked, averaged=False):
        if plan.prunes:
            if not hasattr(model, "connectivity"):
                raise ValueError("--arch: SRP needs an architecture with connectivity, e.g. --arch srp_transformer")
            BUDGETS[plan.budget](model.original_shapes, model.table, model.vectors, plan.rate)
        self.rounds_done = 0
        self.model, self._plan, self._masked, self._averaged = model, plan, masked, averaged
        self._window = None
        self.count_parameters()

    @property
    def pending(self):
        """True as long as the plan has something to cut."""
        return self._plan.prunes and self.rounds_done < self._plan.rounds

    @property
    def unfinished(self):
        """What is to be cut, in words; None if nothing is."""
        if not self.pending:
            return None
        selected = ", what was selected is still there" if self._window else ""
        return f"--compression-rate {self._plan.rate} saw {self.rounds_done} of {self._plan.rounds} rounds{selected}"

    def count_parameters(self):
        """Count the model's parameters; call after loading or cutting, as the metrics ask all the time."""
        self.parameters_left = sum(p.numel() for p in self.model.parameters())

    def warn_of_half_shrunk(self):
        """Say so if weights were taken from the midst of another run's shrinking."""
        vectors = [c.vector for c in getattr(self.model, "connectivity", {}).values()]
        count = sum(int(((v != 0) & (v != 1)).sum()) for v in vectors)
        if count and self._window is None:
            logger.warning(
                f"{count:,} units come half shrunk, with connectivity between 0 and 1, and stay so; better resume "
                "the run they are from, or start from a finished one"
            )

    def check_start(self):
        """Refuse, once weights are loaded, a stage whose rate presupposes the cuts of another.

        Raises:
            ValueError: there is more left than that stage leaves.
        """
        others = self._lengths_of_others() if self._plan.prunes else {}
        if not others:
            return
        lengths = self._widths(others, 1, 1).lengths
        wide = [v.name for v in self.model.vectors if v.kind == "residual" and others.get(v.name, 0) > lengths[v.name]]
        if wide:
            raise ValueError(
                f"--pruning-stage {self._plan.stage}: --compression-rate {self._plan.rate} needs the cuts of stage 1, "
                f"and {wide[0]} has its {others[wide[0]]} units; start from stage 1, e.g. --pretrained-model "
                "checkpoints/stage1/checkpoint_last.pt, or give --pruning-stage 0"
            )

    def before_update(self, optimizer, at, score):
        """Begin a round if it is due, and set the connectivity of the update that comes.

        Args:
            optimizer: the fairseq optimizer.
            at: :class:`~fairseq_prune.pruning.schedule.Position` of that update.
            score: function -> dict of vector name -> scores; called only to select.
        """
        if not self.pending:
            return
        if self._window is None:
            if not self._is_due(at.epochs):
                return
            length = self._plan.shrinks and (self._plan.updates or at.updates_until(self._plan.period))
            self._window = Window(at.updates, at.epochs, int(length), self._select(score()))
            logger.info(self._describe())
        if not self._plan.shrinks:
            self._finish(optimizer)
            return
        if not self._window.held:
            self._hold(optimizer)
        self._set_connectivity(self.value(at))

    def value(self, at):
        """The connectivity of selected units in an update, in [0, 1]; 1 outside of rounds."""
        window, shrinking = self._window, SHRINKINGS[self._plan.decreasing]
        if window is None:
            return 1.0
        if self._is_last(at):
            return 0.0
        if shrinking.counts == "ep":
            return shrinking.value(at.epochs + 1 - window.epochs, self._plan.period)
        return shrinking.value(at.updates + 1 - window.updates, window.length)

    def _is_last(self, at):
        """True in the last update of the round. Epochs are over when fairseq says so, however many updates they had."""
        if self._plan.updates:
            return at.updates + 1 >= self._window.updates + self._window.length
        epoch = at.epochs + 1 - self._window.epochs
        return epoch > self._plan.period or (epoch == self._plan.period and at.ends_epoch)

    def after_backward(self):
        """Keep selected units out of the gradient, before it is clipped."""
        if self._window:
            for parameter, held in self._window.held.items():
                if parameter.grad is not None:
                    held.clear(parameter.grad)

    def after_step(self, optimizer, at):
        """Put selected units back to their values; at the end of a round, cut.

        Args:
            optimizer: the fairseq optimizer.
            at: :class:`~fairseq_prune.pruning.schedule.Position` of the update that was made.
        """
        if self._window is None:
            return
        masters = homes(optimizer)
        for parameter, held in self._window.held.items():
            held.restore(values_of(parameter, masters))
        if self._is_last(at):
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
            ValueError: the interrupted run had another plan, or none is given and it was not through.
        """
        before = state["plan"]
        through = state["rounds_done"] == before["rounds"]
        if not self._plan.prunes and through:
            return
        for name, value in self._plan.plain().items():
            if before.get(name) != value:
                raise ValueError(
                    f"{OPTIONS[name]} {value}: the interrupted run had {before.get(name)}; resume with the same "
                    "options, or go on from its weights with --pretrained-model and a new --save-dir"
                )
        self.rounds_done, window = state["rounds_done"], state["window"]
        if window:
            selected = {name: unpack_mask(units) for name, units in window["selected"].items()}
            self._window = Window(**{**window, "selected": selected})

    def _is_due(self, epochs):
        rounds_before = 0 if self._plan.updates else self.rounds_done * self._plan.period
        return epochs >= self._plan.warming_up + rounds_before

    def _select(self, scores):
        """Units that leave in this round, dict of vector name -> bool tensor [length]."""
        model, plan = self.model, self._plan
        alive = {name: c.vector != 0 for name, c in model.connectivity.items()}
        chosen = [v for v in model.vectors if v.kind in STAGES[plan.stage]]
        widths = self._widths(self._lengths_of_others(), plan.rounds, self.rounds_done + 1)
        parameters = dict(model.named_parameters())
        sizes = {v.name: unit_norms(model.table, parameters, v.name) for v in chosen}
        selected = choose(scores, widths, chosen, alive, sizes)
        ranks.require_equal(checksum(selected), "selected units", next(model.parameters()).device)
        return {name: units for name, units in selected.items() if units.any()}

    def _lengths_of_others(self):
        """Units left of the vectors that this stage leaves alone, dict of vector name -> count."""
        left, stage = self.model.connectivity, STAGES[self._plan.stage]
        return {v.name: int(left[v.name].vector.count_nonzero()) for v in self.model.vectors if v.kind not in stage}

    def _widths(self, others, rounds, nth):
        model, plan = self.model, self._plan
        return BUDGETS[plan.budget](model.original_shapes, model.table, model.vectors, plan.rate, others, rounds, nth)

    def _hold(self, optimizer):
        """Remember what belongs to the selected units."""
        masters, device = homes(optimizer), next(self.model.parameters()).device
        selected = self._window.selected = {v: units.to(device) for v, units in self._window.selected.items()}
        for name, parameter in self.model.named_parameters():
            where = owned_elements(parameter.shape, self.model.table.get(name, ()), selected)
            if where is not None:
                self._window.held[parameter] = HeldElements(where, values_of(parameter, masters))
        self.model.leave_out(selected)

    @torch.no_grad()
    def _set_connectivity(self, value):
        for name, units in self._window.selected.items():
            connectivity = self.model.connectivity[name]
            connectivity.vector.masked_fill_(units, value)
            connectivity.idle = False  # as value < 1; looking would wait for the GPU

    def _finish(self, optimizer):
        self._set_connectivity(0.0)
        self._window = None
        self.model.leave_out({})
        self.rounds_done += 1
        keep = {name: c.vector != 0 for name, c in self.model.connectivity.items()}
        if may_cut(optimizer, self._averaged):
            cut_in_run(self.model, self.model.table, keep, optimizer, self._masked)
            self.model.refresh()
            self.count_parameters()
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
