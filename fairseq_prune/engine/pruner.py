"""The pruner: one model's plan and its position in the schedule."""

import logging
from functools import partial

import torch

from ..compat import forget_best
from ..pruning.budget import targets_for
from ..pruning.choosing import CoupledChooser, TensorChooser, count_removed
from ..pruning.masks import checksum
from ..pruning.prunable import find_prunables
from ..pruning.units import is_coupled, parse_units
from . import ranks
from .cut import cut_in_run, may_cut
from .masked_model import MaskedModel
from .masters import homes, values_of
from .penalty import GrowingPenalty
from .plan import Plan, check_same_plan
from .telling import tell_removed

logger = logging.getLogger(__name__)


class Pruner:
    """Decides at the events of its plan's schedule, and enforces the masks after every step.

    Args:
        model: the ``nn.Module`` to prune. Weights loaded into it later bring their masks along.
        plan: what to remove and when; the default removes nothing and keeps what is removed.
        find_structure: function -> :class:`~fairseq_prune.pruning.surgery.structure.Structure` of the model as it
            is; only called for coupled units.
        find_targets: function of a chooser -> dict of group name -> fraction; None: those of the plan.
        averaged: the run keeps moving averages (--store-ema), whose shapes cannot follow a cut.

    Attributes:
        events_done: events of the schedule that have happened (count).
        masked: the :class:`~.masked_model.MaskedModel`.
        removed_in_epoch: number of the epoch in which the last removal fell; None before.

    Raises:
        ValueError: a pattern matches nothing, a tensor has no such units, or a target no group.
    """

    def __init__(self, model, plan=None, find_structure=None, find_targets=None, averaged=False):
        self.plan = plan or Plan()
        self.events_done = 0
        self.removed_in_epoch = None
        self._model, self._averaged = model, averaged
        self._find_structure = find_structure
        self._find_targets = find_targets or (lambda chooser: targets_for(chooser.groups, self.plan.target))
        self._seed = self.plan.seed
        self._initial = {}
        self._started = False
        self.masked = MaskedModel(model)
        self._counted = self._fraction = None
        self._prunables = find_prunables(model, *self._patterns())
        self._whole = count_removed(self._prunables, {})[1]
        self._chooser = self._targets = self._structure = self._penalty = None
        if self.plan.prunes:
            self._look()

    def _patterns(self):
        """Patterns of tensors to count and prune; of coupled units they go by vectors instead."""
        coupled = self.plan.prunes and is_coupled(parse_units(self.plan.units))
        return ((), ()) if coupled else (self.plan.include, self.plan.skip)

    def _look(self):
        """Find what there is to choose from, in the shapes that the model has now."""
        units = parse_units(self.plan.units)
        if is_coupled(units):
            self._structure = self._find_structure()
            parameters = dict(self._model.named_parameters())
            self._chooser = CoupledChooser(self.plan, self._structure, units, ranks.average, parameters)
        else:
            self._chooser = TensorChooser(self.plan, self._prunables, units, ranks.average)
        self._targets = self._find_targets(self._chooser)
        if self.plan.growth:
            parameters = dict(self._model.named_parameters())
            self._penalty = GrowingPenalty(self.plan.growth, self._chooser, parameters, self.plan.blocks_loss)

    @property
    def masks(self):
        """The masks in force, dict of parameter name -> bool; True = keep."""
        return self.masked.masks

    @property
    def pending(self):
        """True as long as something is to be removed."""
        through = self.events_done == (self.plan.schedule.num_events if self.plan.prunes else 0)
        return not through or self.grows

    @property
    def grows(self):
        """True while a penalty grows or stabilises."""
        return self._penalty is not None and self._penalty.active

    @property
    def penalty(self):
        """The largest factor of a growing penalty (float)."""
        return self._penalty.largest if self.grows else 0.0

    @property
    def fraction_removed(self):
        """Fraction of the prunable set that masks and cuts have removed (float in [0, 1))."""
        if self._counted is not self.masks:  # asked for at every update, counted after every change
            removed, total = count_removed(self._prunables, self.masks)
            self._counted, self._fraction = self.masks, 1 - (total - removed) / self._whole
        return self._fraction

    @property
    def parameters_left(self):
        """Parameters of the model as it is, masked ones included (count)."""
        return sum(p.numel() for p in self._model.parameters())

    def check_start(self):
        """Look once at what was loaded, before training begins.

        Raises:
            ValueError: a target below what is already removed; removed weights are never revived.
        """
        if self._started:
            return
        self._started = True
        if not self.plan.prunes:
            self.masked.warn_of_lost_masks()
        elif not self.events_done:
            whole, self._whole = self._whole, count_removed(self._prunables, {})[1]
            if whole != self._whole:  # weights of a cut model came in
                self._look()
            self._check_targets()

    def _check_targets(self):
        for group in self._chooser.groups:
            removed, total = self._chooser.count(group, self.masked.local_masks())
            if removed > self._chooser.budget(group, self._targets[group]):
                raise ValueError(
                    f"--prune-target {self._targets[group]}: {removed / total:.4f} of {group!r} is removed already; "
                    f"give at least that, or keep it with --prune-method none"
                )

    def before_update(self, optimizer, epochs, updates, ema_model=None):
        """Prune if an event is due. Called before the first forward pass of an update.

        Args:
            optimizer: the fairseq optimizer.
            epochs: completed epochs (count).
            updates: completed updates (count).
            ema_model: fairseq's moving-average copy of the model, if the run keeps one.

        Raises:
            ValueError: the run begins after the end of its schedule.
        """
        if self.plan.prunes:
            position = {"ep": epochs, "up": updates}[self.plan.schedule.unit]
            event = self.plan.schedule.events_by(position)
            if event > self.events_done:
                if self.events_done == 0:
                    self._begin(event, position)
                self._prune(event, optimizer, ema_model, updates)
                self.events_done = event
                name = f"pruning event {event}/{self.plan.schedule.num_events}"
                logger.info(f"{name} after {epochs} epochs, {updates} updates: {self._told()}")
            if self.grows:
                self._grow(optimizer, position, updates, ema_model)
        if not self.pending:
            self._tell_scheduler(optimizer, epochs)

    def _grow(self, optimizer, position, updates, ema_model):
        if self.plan.schedule.end and position >= self.plan.schedule.last:
            self._end_growth(optimizer, ema_model)
        else:
            self._penalty.before_update(updates, partial(self._choose, 1.0))

    def _end_growth(self, optimizer, ema_model=None):
        choice = self._penalty.choice or self._choose(1.0)
        self._penalty.end()
        self._remove(choice, optimizer, ema_model)
        logger.info(f"removed what the penalty acted on: {self._told()}")

    def _tell_scheduler(self, optimizer, epochs):
        """Let the scheduler ``phased`` know, which leaves this function with its optimizer."""
        if self.removed_in_epoch is None:
            self.removed_in_epoch = epochs + 1
        begin = getattr(optimizer, "begin_finetuning", None)
        if begin:
            begin(self.removed_in_epoch)

    def before_step(self, optimizer):
        """Let a growing penalty into the gradients."""
        if self.grows:
            self._penalty.before_step(optimizer)

    def after_step(self, optimizer, updates, ema_model=None):
        """Put the removed weights back to zero, in the fp32 masters and the model; end a growth that is over.

        Args:
            optimizer: the fairseq optimizer.
            updates: completed before this step (count).
            ema_model: as in :meth:`before_update`.
        """
        if self.grows:
            self._penalty.after_step(optimizer)
        if self.masks:
            self.masked.mask_values(optimizer)
        if self.grows and self._penalty.is_over(updates):
            self._end_growth(optimizer, ema_model)

    def state(self):
        """The position in the schedule, as plain values. Masks travel with the weights."""
        return {
            "events_done": self.events_done,
            "events_left": self.plan.schedule.num_events - self.events_done if self.plan.prunes else 0,
            "initial": dict(self._initial),
            "seed": self._seed,
            "plan": self.plan.plain(),
            "whole": self._whole,
            "removed_in_epoch": self.removed_in_epoch,
            "penalty": self._penalty and self._penalty.state(),
        }

    def load_state(self, state):
        """Take up the position of an interrupted run.

        Raises:
            ValueError: the interrupted run had another plan, or none is given and it was not through.
        """
        check_same_plan(self.plan, state)
        if self.plan.prunes and state["events_done"]:
            self.events_done, self._initial, self._seed = state["events_done"], state["initial"], state["seed"]
            self._whole = state.get("whole", self._whole)  # files of earlier versions have no cuts
            self.removed_in_epoch = state.get("removed_in_epoch")
            if state.get("penalty"):
                self._penalty.load_state(state["penalty"])

    def _begin(self, event, position):
        """Before the first event: the way to the target starts from what is removed by then."""
        schedule = self.plan.schedule
        if 1 < event == schedule.num_events:
            now = f"{position}{schedule.unit}"
            raise ValueError(
                f"--prune-end {schedule.end}: the run begins at {now}, past its schedule; "
                f"times count from update 0 of the first run, e.g. --prune-start {now}"
            )
        for group in self._chooser.groups:
            removed, total = self._chooser.count(group, self.masked.local_masks())
            self._initial[group] = removed / total

    def _prune(self, event, optimizer, ema_model, updates):
        if not self._penalty:
            self._remove(self._choose(self.plan.schedule.fraction_at(event)), optimizer, ema_model, event)
            return
        layers = [
            layer
            for group, members in self._chooser.layers.items()
            for layer in members
            if self._chooser.budget(group, self._targets[group])
        ]
        self._penalty.begin(updates, layers, None if self.plan.growth.picks else self._choose(1.0))
        self._penalty.warn_of_little(optimizer)

    def _remove(self, choice, optimizer, ema_model, event=None):
        masks = {name: keep for name, keep in self.masked.local_masks().items() if name not in self._chooser.owned}
        masks.update(choice.masks)
        ranks.require_equal(checksum(masks), "pruning masks", self._prunables[0].parameter.device)
        last = event in (None, self.plan.schedule.num_events)
        if checksum(masks) == checksum(self.masks):
            return
        self._rescale_norms(masks, optimizer)
        self.masked.hold(masks)
        self.masked.mask_values(optimizer)
        self.masked.mask_moments(optimizer)
        if ema_model is not None:
            self.masked.mask_averages(ema_model)
        keep = {vector: units for vector, units in choice.keep.items() if self._structure.vectors[vector].cuts}
        if last and keep and may_cut(optimizer, self._averaged):
            cut_in_run(self._model, self._structure.table, keep, optimizer, self.masked)
        forget_best()

    def _choose(self, progress):
        """What leaves on a stretch of the way from what was removed at the start to the target."""
        fractions = {
            group: (1 - progress) * self._initial[group] + progress * self._targets[group]
            for group in self._chooser.groups
        }
        generator = torch.Generator().manual_seed(self._seed)
        return self._chooser.choose(fractions, self.masked.local_masks(), generator)

    def _rescale_norms(self, masks, optimizer):
        """Keep the surviving weights of weight-normalised layers as they are."""
        masters = homes(optimizer)
        for p in self._prunables:
            if p.scale and p.name in masks:
                shrinkage = p.scale.shrinkage(values_of(p.parameter, masters)[0], masks[p.name])
                for value in values_of(p.scale.parameter, masters):
                    value.mul_(shrinkage)

    def _told(self):
        return tell_removed(self._prunables, self.masks, self.fraction_removed, self._whole)
