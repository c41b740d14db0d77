"""Choosing units of which each tensor has its own."""

import torch

from ..budget import targets_for
from ..budget.counting import EVERYTHING, ROUNDINGS, highest
from ..importance import IMPORTANCES
from ..scope import SCOPES
from .fitting import fitting
from .groups import decide
from .selection import Choice, Inherited, count_removed


class TensorChooser:
    """Chooses units of which each tensor has its own.

    Args:
        plan: with ``units``, ``importance``, ``scope``, ``stages`` and ``rounding``.
        prunables: list of :class:`~.prunable.Prunable`.
        units: :class:`~.units.Units`.
        average: function of scores -> scores, over ranks.

    Attributes:
        prunables: those that have such units.
        left_out: the others, dict of name -> why not.
        groups: dict of group name -> what it holds.
        inherited: :class:`~.choice.Inherited`, of what another run removed.

    Raises:
        ValueError: no tensor has such units, or none that the user named, or the stages do not fit.
    """

    inherited = Inherited()

    def __init__(self, plan, prunables, units, average):
        self._units, self._average = units, average
        self._rounding, self._own_rankings = ROUNDINGS[plan.rounding], plan.scope == "layer"
        self._importance = IMPORTANCES[plan.importance]
        self.prunables, self.left_out = fitting(plan, prunables, self._check)
        self._by_name = {p.name: p for p in self.prunables}
        self.groups = SCOPES[plan.scope](self.prunables, plan.stages)

    def _check(self, prunable):
        self._units.check(prunable.shape)

    def count(self, group, masks):
        """(removed, total) of a group (counts of weights)."""
        return count_removed(self.groups[group], masks)

    def targets(self, target):
        """The fraction of each group by patterns of :func:`~..budget.parse_target`, dict of group name -> fraction."""
        if self._own_rankings:
            return targets_for({p.name: p.aliases for p in self.prunables}, target)
        return targets_for(self.groups.keys(), target)

    def share_below(self, group, deviation, masks):
        """Fraction of a group that is removed or below a :class:`~..budget.Deviation` of its layer's survivors."""
        below = 0
        for p in self.groups[group]:
            keep = p.mask_in(masks)
            weights = (p.weight() if keep is None else p.weight()[keep]).float()
            below += p.parameter.numel() - weights.numel() + deviation.count_below(weights)
        return below / self.count(group, {})[1]

    def share_within(self, group, threshold, masks, generator, evidence=None):
        """Fraction of a group in units that are removed or worth at most a :class:`~..budget.Threshold`.

        Below 1, so that something stays. Further arguments as :meth:`choose`.
        """
        leaves = 0
        for p in self.groups[group]:
            stays, keep = self._score(p, generator, evidence) > threshold.limit, p.mask_in(masks)
            stays = self._units.spread(stays, p.shape)
            leaves += stays.numel() - int((stays if keep is None else stays & keep).sum())
        total = self.count(group, {})[1]
        return min(leaves, total - 1) / total

    def budget(self, group, fraction):
        """What a fraction of a group comes to (count of weights); counted in units where all are of one size.

        One unit of a group stays.
        """
        units, size = self._sizes(group)
        left = 1 if fraction < EVERYTHING else 0
        return min(self._rounding(fraction, units), units - left) * size

    def highest(self, group, fraction):
        """The highest fraction of a group that can leave; None where as many units can as are asked for."""
        return highest(fraction, self._sizes(group)[0])

    def _sizes(self, group):
        """(how many, of how many weights) of the units of a group; single weights where sizes differ."""
        members = self.groups[group]
        sizes = {self._units.sizes(p.shape) for p in members}
        size = sizes.pop() if all(isinstance(s, int) for s in sizes) and len(sizes) == 1 else 1
        return count_removed(members, {})[1] // size, size

    def choose(self, fractions, masks, generator, evidence=None):
        """Choose.

        Args:
            fractions: dict of group name -> fraction removed afterwards.
            masks: in force so far; what is removed stays so.
            generator: for random scores.
            evidence: dict of parameter name -> tensor to be scored instead of the parameter.

        Returns:
            :class:`Choice`.
        """
        chosen = {}
        for group, members in self.groups.items():
            budget = self.budget(group, fractions[group])
            score = lambda p: self._score(p, generator, evidence)  # noqa: E731
            keeps = decide(members, budget, self._units, score, masks)
            for p in members:
                chosen.update(p.masks_for(keeps[p.name]))
        return Choice(chosen)

    def _score(self, prunable, generator, evidence):
        return self._average(self._importance(self._evidence(prunable, evidence), self._units, generator))

    def _evidence(self, prunable, evidence):
        return prunable.arrange(evidence[prunable.name]) if evidence else prunable.weight()

    @property
    def layers(self):
        """Names of the layers, each with units of its own, by group: dict of group name -> list."""
        return {group: [p.name for p in members] for group, members in self.groups.items()}

    def magnitudes(self, layer):
        """Mean magnitude of each unit of a layer now, float32 [units]."""
        return self._average(self._units.pool(self._by_name[layer].weight().float().abs()))

    def norms(self, layer):
        """L1 norm of each unit of a layer now, float32 [units]."""
        return self.sum_over(layer, {layer: self._by_name[layer].parameter.detach().abs()})

    def leaving(self, layer, choice):
        """Units of a layer that a choice removes, bool [units]."""
        p = self._by_name[layer]
        keep = p.mask_in(choice.masks)
        kept = torch.ones(p.shape, device=p.parameter.device) if keep is None else keep.float()
        return self._units.pool(kept) == 0

    def spread(self, layer, values):
        """Values of a layer's units, float [units], over what is scored: dict of parameter name -> tensor."""
        p = self._by_name[layer]
        return {layer: p.store(self._units.spread(values, p.shape))}

    def spread_beside(self, layer, values):
        """As :meth:`spread`, over the biases and norms that leave with the units; those of tensors own none."""
        return {}

    @property
    def sides(self):
        """The chooser, seen from every side on which its units have slices."""
        return (self,)

    def state(self):
        """What selections to come depend on besides weights, as plain values."""
        return {}

    def load_state(self, state):
        """Undo :meth:`state`."""

    def sum_over(self, layer, values):
        """Sums over each unit of a layer, [units], of a dict of parameter name -> tensor."""
        p = self._by_name[layer]
        means = self._units.pool(p.arrange(values[layer]).float())
        sizes = self._units.sizes(p.shape)
        return means * (sizes.to(means) if torch.is_tensor(sizes) else sizes)

    @property
    def owned(self):
        """Names of all parameters it decides about."""
        return {name for p in self.prunables for name in p.mask_names}
