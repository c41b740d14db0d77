"""The pruner: one model's plan and its position in the schedule."""

import logging

import torch

from ..compat import forget_best
from ..pruning.budget import targets_for
from ..pruning.decide import decide
from ..pruning.importance import IMPORTANCES
from ..pruning.masks import checksum
from ..pruning.prunable import find_prunables
from ..pruning.scope import SCOPES
from ..pruning.units import parse_units
from . import ranks
from .masked_model import MaskedModel
from .masters import homes, values_of
from .plan import Plan

logger = logging.getLogger(__name__)


class Pruner:
    """Decides at the events of its plan's schedule, and enforces the masks after every step.

    Args:
        model: the ``nn.Module`` to prune. Weights loaded into it later bring their masks along.
        plan: what to remove and when; the default removes nothing and keeps what is removed.

    Attributes:
        events_done: events of the schedule that have happened (count).
        masked: the :class:`~.masked_model.MaskedModel`.

    Raises:
        ValueError: a pattern matches nothing, a tensor has no such units, or a target no group.
    """

    def __init__(self, model, plan=None):
        self.plan = plan or Plan()
        self.events_done = 0
        self._seed = self.plan.seed
        self._initial = {}
        self._started = False
        self.masked = MaskedModel(model)
        self._counted = self._fraction = None
        self._prunables = find_prunables(model, self.plan.include, self.plan.skip)
        self._groups = SCOPES[self.plan.scope](self._prunables, self.plan.stages)
        if self.plan.prunes:
            self._units = parse_units(self.plan.units)
            for p in self._prunables:
                self._check_units(p)
            self._targets = targets_for(self._groups, self.plan.target)

    @property
    def masks(self):
        """The masks in force, dict of parameter name -> bool; True = keep."""
        return self.masked.masks

    @property
    def fraction_removed(self):
        """Fraction of the prunable set that the masks remove (float in [0, 1))."""
        if self._counted is not self.masks:  # asked for at every update, counted after every change
            removed, total = self._count(self._prunables)
            self._counted, self._fraction = self.masks, removed / total
        return self._fraction

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
            self._check_targets()

    def _check_targets(self):
        for group, members in self._groups.items():
            removed, total = self._count(members)
            if removed > round(self._targets[group] * total):
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
        if not self.plan.prunes:
            return
        position = {"ep": epochs, "up": updates}[self.plan.schedule.unit]
        event = self.plan.schedule.events_by(position)
        if event <= self.events_done:
            return
        if self.events_done == 0:
            self._begin(event, position)
        self._prune(event, optimizer, ema_model)
        self.events_done = event
        logger.info(self._describe(event, epochs, updates))

    def after_step(self, optimizer):
        """Put the removed weights back to zero, in the fp32 masters and the model."""
        if self.masks:
            self.masked.mask_values(optimizer)

    def state(self):
        """The position in the schedule, as plain values. Masks travel with the weights."""
        return {
            "events_done": self.events_done,
            "events_left": self.plan.schedule.num_events - self.events_done if self.plan.prunes else 0,
            "initial": dict(self._initial),
            "seed": self._seed,
            "plan": self.plan.plain(),
        }

    def load_state(self, state):
        """Take up the position of an interrupted run.

        Raises:
            ValueError: the interrupted run had another plan, or none is given and it was not through.
        """
        if not self.plan.prunes:
            if state["events_left"]:
                raise ValueError(
                    f"--prune-method {self.plan.method}: the interrupted run has {state['events_left']} pruning events "
                    f"to go; resume with its options, e.g. --prune-method {state['plan']['method']}"
                )
            return
        before = state["plan"]
        for name, value in self.plan.plain().items():
            if before["schedule"] and before.get(name) != value:
                raise ValueError(
                    f"--prune-{name} {value}: the interrupted run had {before.get(name)}; resume with the same "
                    "options, or prune further with --finetune-from-model and a new --save-dir"
                )
        if state["events_done"]:
            self.events_done, self._initial, self._seed = state["events_done"], state["initial"], state["seed"]

    def _begin(self, event, position):
        """Before the first event: the way to the target starts from what is removed by then."""
        schedule = self.plan.schedule
        if 1 < event == schedule.num_events:
            now = f"{position}{schedule.unit}"
            raise ValueError(
                f"--prune-end {schedule.end}: the run begins at {now}, past its schedule; "
                f"times count from update 0 of the first run, e.g. --prune-start {now}"
            )
        for group, members in self._groups.items():
            removed, total = self._count(members)
            self._initial[group] = removed / total

    def _check_units(self, prunable):
        try:
            self._units.check(prunable.parameter.shape)
        except ValueError as error:
            raise ValueError(
                f"--prune-units {self.plan.units}: {prunable.name}: {error}; leave it out, "
                f"e.g. --prune-skip '{prunable.name}'"
            ) from None

    def _prune(self, event, optimizer, ema_model):
        masks = self._choose(self.plan.schedule.fraction_at(event))
        ranks.require_equal(checksum(masks), "pruning masks", self._prunables[0].parameter.device)
        if checksum(masks) == checksum(self.masks):
            return
        self._rescale_norms(masks, optimizer)
        self.masked.hold(masks)
        self.masked.mask_values(optimizer)
        self.masked.mask_moments(optimizer)
        if ema_model is not None:
            self.masked.mask_averages(ema_model)
        forget_best()

    def _choose(self, progress):
        """The masks for a stretch of the way from what was removed at the start to the target."""
        before = self.masked.local_masks()
        mine = {name for p in self._prunables for name in p.mask_names}
        masks = {name: keep for name, keep in before.items() if name not in mine}
        generator = torch.Generator().manual_seed(self._seed)
        for group, members in self._groups.items():
            fraction = (1 - progress) * self._initial[group] + progress * self._targets[group]
            keeps = decide(members, fraction, self._units, lambda p: self._score(p, generator), before)
            for p in members:
                masks.update(p.masks_for(keeps[p.name]))
        return masks

    def _score(self, prunable, generator):
        scores = IMPORTANCES[self.plan.importance](prunable.weight(), self._units, generator)
        return ranks.average(scores)

    def _rescale_norms(self, masks, optimizer):
        """Keep the surviving weights of weight-normalised layers as they are."""
        masters = homes(optimizer)
        for p in self._prunables:
            if p.scale and p.name in masks:
                shrinkage = p.scale.shrinkage(values_of(p.parameter, masters)[0], masks[p.name])
                for value in values_of(p.scale.parameter, masters):
                    value.mul_(shrinkage)

    def _count(self, prunables):
        keeps = [p.mask_in(self.masks) for p in prunables]
        removed = sum(k.numel() - int(torch.count_nonzero(k)) for k in keeps if k is not None)
        return removed, sum(p.parameter.numel() for p in prunables)

    def _describe(self, event, epochs, updates):
        parts = [(r / t, name) for name, (r, t) in ((p.name, self._count([p])) for p in self._prunables)]
        (low, least), (high, most) = min(parts), max(parts)
        return (
            f"pruning event {event}/{self.plan.schedule.num_events} after {epochs} epochs, {updates} updates: "
            f"{self.fraction_removed:.4f} of {self._count(self._prunables)[1]:,} weights removed "
            f"(least {low:.2f} {least}, most {high:.2f} {most}; masks {checksum(self.masks):08x})"
        )
