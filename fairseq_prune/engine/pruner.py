"""The pruner: carries out a plan on one model, and knows its position in the schedule."""

import logging
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from fairseq.optim import FairseqOptimizer
from torch import Tensor, nn

from ..compat import will_be_skipped
from ..methods import approach_for
from ..methods.stand_in import stand_in
from ..pruning.masks import Masks
from ..pruning.times import Position
from .masked_model import MaskedModel
from .model_info import BY_FAMILY, ModelInfo
from .permute import permute_in_run
from .plan import Plan
from .reachable import check_begun_in_time
from .removal import Removal
from .rewind import Rewind
from .same_plan import check_same_plan
from .selecting import Gather, Selecting
from .tally import Tally
from .targets import Targets, no_data

logger = logging.getLogger(__name__)


class Pruner:
    """Selects units at the events of its plan's schedule, and enforces the masks after every step.

    Args:
        model: the ``nn.Module`` to prune. When weights are loaded into it later, their masks are adopted.
        plan: what to remove and when; the default removes nothing more and keeps removed weights at zero.
        info: what is known about the model.
        averaged: the run keeps moving averages (--store-ema), whose shapes cannot follow a cut.
        gather: as :class:`~.selecting.Selecting`.

    Attributes:
        events_done: events of the schedule that have happened (count).
        masked: the model's masks.
        targets: the model's units, and how much of them is to be removed.
        removal: carries out selections, and knows which units were kept in cuts.
        removed_in_epoch: number of the epoch of the last removal; None before.

    Raises:
        ValueError: as :class:`~.targets.Targets`.
    """

    def __init__(
        self,
        model: nn.Module,
        plan: Plan | None = None,
        info: ModelInfo = BY_FAMILY,
        averaged: bool = False,
        gather: Gather = no_data,
    ):
        self.plan, self.events_done = plan or Plan(), 0
        self.removed_in_epoch: int | None = None
        self._model, self._info = model, info
        self._started = self._acts = False
        self.masked = MaskedModel(model)
        self._rewind = Rewind(self.masked.parameters, self.plan.rewind.count) if self.plan.rewind else None
        self.removal = Removal(model, self.masked, averaged, self._rewind)
        self.targets = Targets(model, self.plan, info)
        self._tally = Tally(self.masked, self.targets)
        self._select = Selecting(model, self.masked, self.targets, gather, lambda: self.events_done)
        self._approach = self._new_approach()
        self._validated: dict[str, Tensor] = {}

    def _new_approach(self):
        return approach_for(self.plan.approach, self.targets.selector, self._model, self.plan.seed)

    @property
    def seed(self) -> int:
        """The seed of random choices; a resumed run keeps that of the run it continues."""
        return self.targets.seed

    @property
    def masks(self) -> Masks:
        """The masks in force, dict of parameter name -> bool; True = keep."""
        return self.masked.masks

    @property
    def pending(self) -> bool:
        """True as long as something is still to be removed."""
        return self.approaching or self.events_done != self.plan.schedule.num_events

    @property
    def approaching(self) -> bool:
        """True from the first selection to the removal, if an approach acts between them."""
        return self._approach.active

    @property
    def unfinished(self) -> str | None:
        """What is still to be removed, in words; None: nothing."""
        if not self.pending:
            return None
        events = f"{self.events_done} of {self.plan.schedule.num_events} pruning events"
        selected = ", what was selected is not removed yet" if self.approaching else ""
        return f"--prune-method {self.plan.method} completed {events}{selected}; {self.fraction_removed:.4f} removed"

    @property
    def metrics(self) -> dict[str, float | Tensor]:
        """Further metrics to log, dict of name -> float."""
        return self._approach.metrics if self.approaching else {}

    @property
    def record(self) -> dict[str, Any] | None:
        """The approach's record about its units at this update, for a file; None at most updates."""
        return self._approach.record if self.approaching else None

    @property
    def fraction_removed(self) -> float:
        """Fraction of the prunable set that masks and cuts have removed (float in [0, 1))."""
        return self._tally.fraction

    def check_start(self) -> None:
        """Check once, before training begins, what was loaded.

        Raises:
            ValueError: a target below what is already removed; removed weights are never revived.
        """
        if self._started:
            return
        self._started = True
        if not self.approaching:
            self.masked.warn_of_half_shrunk()
        if not self.plan.prunes:
            self.masked.warn_of_lost_masks()
        elif not self.events_done:
            self._tally.whole = self.targets.total
            if self.targets.find_again():
                self._approach = self._new_approach()
            self.targets.check(self.masked.local_masks())

    def before_update(
        self, optimizer: FairseqOptimizer, position: Position, ema_model: nn.Module | None = None
    ) -> None:
        """Prune if an event is due. Called before the first forward pass of an update.

        Args:
            optimizer: the fairseq optimizer.
            position: :class:`~fairseq_prune.pruning.times.Position` of that update.
            ema_model: fairseq's moving-average copy of the model, if the run keeps one.

        Raises:
            ValueError: the run begins after the end of its schedule.
        """
        self._validated = {}
        schedule = self.plan.schedule
        now = position.of(schedule.unit)
        if self._rewind and self.pending:
            self._rewind.save_once(now, optimizer)
        event = schedule.events_by(now, self.events_done, not self.approaching)
        if event > self.events_done:
            if self.events_done == 0:
                self._begin(event, now, optimizer)
            self._prune_until(event, optimizer, ema_model, position)
            if not self.approaching:
                name = f"pruning event {event}/{schedule.num_events}"
                summary = self._tally.summary()
                logger.info(f"{name} after {position.epochs} epochs, {position.updates} updates: {summary}")
        if self.approaching:
            if schedule.is_past(now):
                self._end_approach(optimizer, ema_model)
            else:
                self._approach.before_update(position, self._select, optimizer)
        if not self.pending and self.removed_in_epoch is None:
            self.removed_in_epoch = position.epochs + 1

    def _prune_until(self, event, optimizer, ema_model, position):
        for due in self.plan.schedule.due(self.events_done, event):
            self.events_done = due
            self._prune(optimizer, ema_model, position)
        if self._rewind and not self.pending:
            self._rewind.forget()

    def _prune(self, optimizer, ema_model, position):
        removed = None
        if self.plan.approach is None:
            removed = self._select()
        elif not self._approach.active:
            removed = self._approach.begin(position, self.targets.layers, self._select, optimizer)
            yet = "" if removed else "; nothing is removed yet"
            logger.info(f"selected after {position.updates} updates, {self.plan.schedule}{yet}")
        elif not self.plan.schedule.is_last(self.events_done):
            removed = self._approach.reselect(self._select, optimizer)
        if removed:
            self._remove(removed, optimizer, ema_model)

    def _end_approach(self, optimizer, ema_model=None):
        selection = self._approach.last_selection(self._select)
        self._approach.end(optimizer)
        self._remove(selection, optimizer, ema_model)
        logger.info(f"removed what was selected: {self._tally.summary()}")

    def in_training(self) -> AbstractContextManager[None]:
        """Context of the forward pass, in which the approach may replace the values of weights."""
        return self._approach.in_training() if self.approaching else nullcontext()

    def before_validation(self) -> None:
        """Select the weights that validation sees while the model is not sparse yet."""
        self._validated = self._approach.validated_values(self._select) if self.approaching else {}

    def in_validation(self) -> AbstractContextManager[None]:
        """Context in which the model is as sparse as it will become."""
        return stand_in(self.masked.parameters, self._validated)

    def after_backward(self) -> None:
        """Let the approach change the gradients after a backward pass, before they are clipped."""
        if self.approaching:
            self._approach.after_backward()

    def before_step(self, optimizer: FairseqOptimizer) -> None:
        """Let the approach change the gradients before a step, after they were clipped."""
        self._acts = self.approaching and (self._approach.also_when_skipped or not will_be_skipped(optimizer))
        if self._acts:
            self._approach.before_step(optimizer)

    def after_step(self, optimizer: FairseqOptimizer, position: Position, ema_model: nn.Module | None = None) -> None:
        """Reset removed weights to zero, in the fp32 masters and the model; end an approach that is finished.

        Args:
            optimizer: the fairseq optimizer.
            position: :class:`~fairseq_prune.pruning.times.Position` of this step's update.
            ema_model: as in :meth:`before_update`.
        """
        if self._acts:
            self._approach.after_step(optimizer)
        if self.masks:
            self.masked.mask_values(optimizer)
        if self.approaching and self._approach.is_over(position):
            self._end_approach(optimizer, ema_model)

    def state(self) -> dict[str, Any]:
        """The position in the schedule, as plain values. (Masks are stored with the weights.)"""
        return {
            "events_done": self.events_done,
            "events_left": self.plan.schedule.num_events - self.events_done,
            "plan": self.plan.plain(),
            "whole": self._tally.whole,
            "removed_in_epoch": self.removed_in_epoch,
            "kept": self.removal.kept,
            "approach": self._approach.state(),
            "rewind": self._rewind and self._rewind.state(),
            **self.targets.state(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Take up the position of an interrupted run.

        Raises:
            ValueError: the interrupted run had another plan, or none is given and it had not finished.
        """
        check_same_plan(self.plan, state)
        self.removal.kept = state.get("kept", {})
        if not self.plan.prunes or state["events_done"]:
            self.removed_in_epoch = state.get("removed_in_epoch")
        if self._rewind:
            self._rewind.load_state(state["rewind"])
        if self.plan.prunes and state["events_done"]:
            self.events_done, approach = state["events_done"], state.get("approach")
            if self.targets.load_state(state, self.pending or approach is not None):
                self._approach = self._new_approach()
            self._tally.whole = state.get("whole", self._tally.whole)  # files of earlier versions have no cuts
            if approach is not None:
                self._approach.load_state(approach)

    def _begin(self, event, position, optimizer):
        check_begun_in_time(self.plan.schedule, event, position)
        self.targets.begin(self.masked.local_masks(), self._select.gather)
        if self.plan.permute:
            goals = self.targets.selector.targets(self.plan.target)
            permutable = self._info.find_permutable(self._model)
            arguments = self._model, permutable, goals, optimizer, self.targets.seed
            self.masked.set_masks(permute_in_run(*arguments, self.masked.local_masks()))

    def _remove(self, selection, optimizer, ema_model):
        cuts = self.targets.cuts_on_the_way or self.plan.schedule.is_last(self.events_done)
        self.removal.carry_out(selection, self.targets, cuts, optimizer, ema_model)
