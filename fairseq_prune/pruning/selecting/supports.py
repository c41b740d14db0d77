"""Choosing within small groups of weights: N of every M, patterns of kernels."""

import math

import torch

from ..budget import targets_for
from ..budget.counting import ROUNDINGS, highest
from ..units import Kernel, Weight
from ..units.pattern import decode
from .ranking import drop_lowest
from .selection import Choice
from .tensors import TensorChooser

_WEIGHT, _KERNEL = Weight(), Kernel()


class SupportChooser(TensorChooser):
    """Chooses what a rule leaves in every small group; each tensor is a group of the scope by itself.

    Arguments and attributes as :class:`TensorChooser`.

    Raises:
        ValueError: no tensor can obey the rule, or the scope is not ``layer``.
    """

    def __init__(self, plan, prunables, units, average):
        if plan.scope != "layer":
            raise ValueError(
                f"--prune-scope {plan.scope}: units {plan.units} are chosen in each layer; give --prune-scope layer"
            )
        super().__init__(plan, prunables, units, average)

    def choose(self, fractions, masks, generator, evidence=None):
        """As :meth:`TensorChooser.choose`."""
        chosen = {}
        for p in self.prunables:
            before = p.mask_in(masks)
            scores = self._average(self._importance(self._evidence(p, evidence), _WEIGHT, generator)).view(p.shape)
            if before is not None:
                scores = scores.masked_fill(~before, -torch.inf)
            chosen.update(p.masks_for(self.keep(p, scores, fractions[p.name])))
        return Choice(chosen)

    def leaving(self, layer, choice):
        """As :meth:`TensorChooser.leaving`; units are single weights."""
        p = self._by_name[layer]
        keep = p.mask_in(choice.masks)
        return torch.zeros(p.parameter.numel(), dtype=torch.bool) if keep is None else ~keep.flatten()

    def magnitudes(self, layer):
        """As :meth:`TensorChooser.magnitudes`."""
        return self._average(self._by_name[layer].weight().float().abs().flatten())

    def spread(self, layer, values):
        """As :meth:`TensorChooser.spread`."""
        p = self._by_name[layer]
        return {layer: p.store(values.view(p.shape))}


class PatternChooser(SupportChooser):
    """Patterns of 3x3 kernels, and whole kernels beyond what patterns remove."""

    def __init__(self, plan, prunables, units, average):
        super().__init__(plan, prunables, units, average)
        self._kernels_drop = ROUNDINGS[plan.rounding]
        self._library = units.fixed

    def budget(self, group, fraction):
        """Weights that patterns and whole kernels remove together (count); 0 where nothing is to leave."""
        if not fraction:
            return 0
        p = self._by_name[group]
        kernels = p.shape[:2].numel()
        return p.parameter.numel() - (kernels - self._kernels_to_drop(kernels, fraction)) * self._units.entries

    def count(self, group, masks):
        """As :meth:`TensorChooser.count`, where each kernel counts as if it had a pattern's weights at least."""
        p = self._by_name[group]
        left = torch.ones(p.shape) if (keep := p.mask_in(masks)) is None else keep
        left = left.flatten(2).sum(2)
        return p.parameter.numel() - int(left.clamp(min=self._units.entries)[left > 0].sum()), p.parameter.numel()

    def highest(self, group, fraction):
        """As :meth:`TensorChooser.highest`; one kernel stays."""
        kernels = self._by_name[group].shape[:2].numel()
        beyond = highest(self._beyond(fraction), kernels)
        return beyond and self._units.least + beyond * (1 - self._units.least)

    def _beyond(self, fraction):
        """The fraction of whole kernels, among those with patterns, that makes a fraction of weights."""
        return (fraction - self._units.least) / (1 - self._units.least)

    def _kernels_to_drop(self, kernels, fraction):
        """Whole kernels to remove (count); a fraction below that of the patterns alone means these alone."""
        beyond = self._beyond(fraction)
        if beyond <= 0 or (self._units.fixed and fraction < 0.5):  # the seed's rule for its own patterns
            return 0
        return min(self._kernels_drop(beyond, kernels), kernels - 1)

    def keep(self, prunable, scores, fraction):
        """Bool, shape of the scores."""
        if not fraction:
            return torch.ones_like(scores, dtype=torch.bool)
        if self._library is None:
            self._library = self._units.learn([p.weight() for p in self.prunables])
        scores = scores.clamp(min=0)  # of what is removed already: -inf
        patterned = self._units.fit(scores, self._library)
        strength = _KERNEL.pool(scores if self._units.fixed else (scores * patterned).square())
        kept = drop_lowest(strength, self._kernels_to_drop(strength.numel(), fraction))
        return patterned & _KERNEL.spread(kept, scores.shape)

    def state(self):
        """As :meth:`TensorChooser.state`."""
        return {"library": self._library and list(self._library)}

    def load_state(self, state):
        """As :meth:`TensorChooser.load_state`."""
        self._library = state["library"] and tuple(state["library"])

    @property
    def patterns(self):
        """The library, bool [patterns, 9]; None before the first selection."""
        return self._library and decode(self._library)


class NMChooser(SupportChooser):
    """N of every M inputs; a tensor's target says which N and M."""

    def __init__(self, plan, prunables, units, average):
        self._goals = targets_for({p.name: p.aliases for p in prunables}, plan.target)
        for goal in self._goals.values():
            if goal and not hasattr(goal, "m"):
                raise ValueError(f"--prune-target {goal}: units n:m need 2:4 or m4n2, e.g. --prune-target 2:4")
        super().__init__(plan, prunables, units, average)

    def _check(self, prunable):
        super()._check(prunable)
        if goal := self._goals[prunable.name]:
            self._units.check_period(prunable.shape, goal.m)

    def count(self, group, masks):
        """As :meth:`TensorChooser.count`, of every M no more than are to leave."""
        p, goal = self._by_name[group], self._goals[group]
        keep = p.mask_in(masks)
        if keep is None or not goal:
            return super().count(group, masks)
        left = keep.reshape(keep.shape[0], -1, goal.m, keep.shape[2:].numel()).sum(2)
        return keep.numel() - int(left.clamp(min=goal.n).sum()), keep.numel()

    def highest(self, group, fraction):
        """As :meth:`TensorChooser.highest`; all can leave that the rule is about."""
        return None

    def budget(self, group, fraction):
        """Weights removed (count)."""
        goal = self._goals[group]
        return self._by_name[group].parameter.numel() // goal.m * (goal.m - self._stay(goal, fraction)) if goal else 0

    def _stay(self, goal, fraction):
        """On the way to the goal, N steps down from M; never below the goal."""
        return max(goal.n, goal.m - math.floor(fraction * goal.m + 1e-9))

    def keep(self, prunable, scores, fraction):
        """Bool, shape of the scores."""
        goal = self._goals[prunable.name]
        if not goal:
            return torch.ones_like(scores, dtype=torch.bool)
        return self._units.keep(scores, self._stay(goal, fraction), goal.m)
