"""Choosing units of which each tensor has its own."""

import torch

from ..budget.counting import ROUNDINGS
from ..decide import decide
from ..importance import IMPORTANCES
from ..scope import SCOPES
from .choice import Choice, count_removed


class TensorChooser:
    """Chooses units of which each tensor has its own.

    Args:
        plan: with ``units``, ``importance``, ``scope``, ``stages`` and ``rounding``.
        prunables: list of :class:`~.prunable.Prunable`.
        units: :class:`~.units.Units`.
        average: function of scores -> scores, over ranks.

    Attributes:
        groups: dict of group name -> what it holds.

    Raises:
        ValueError: a tensor has no such units, or the stages do not fit.
    """

    def __init__(self, plan, prunables, units, average):
        self._units, self._rounding, self._average = units, ROUNDINGS[plan.rounding], average
        self._importance = IMPORTANCES[plan.importance]
        self.prunables, self._by_name = prunables, {p.name: p for p in prunables}
        self.groups = SCOPES[plan.scope](prunables, plan.stages)
        for p in prunables:
            _check_units(units, plan.units, p)

    def count(self, group, masks):
        """(removed, total) of a group (counts of weights)."""
        return count_removed(self.groups[group], masks)

    def budget(self, group, fraction):
        """What a fraction of a group comes to (count of weights)."""
        return self._rounding(fraction, self.count(group, {})[1])

    def choose(self, fractions, masks, generator):
        """Choose.

        Args:
            fractions: dict of group name -> fraction removed afterwards.
            masks: in force so far; what is removed stays so.
            generator: for random scores.

        Returns:
            :class:`Choice`.
        """
        chosen = {}
        for group, members in self.groups.items():
            budget = self.budget(group, fractions[group])
            keeps = decide(members, budget, self._units, lambda p: self._score(p, generator), masks)
            for p in members:
                chosen.update(p.masks_for(keeps[p.name]))
        return Choice(chosen)

    def _score(self, prunable, generator):
        return self._average(self._importance(prunable.weight(), self._units, generator))

    @property
    def layers(self):
        """Names of the layers, each with units of its own, by group: dict of group name -> list."""
        return {group: [p.name for p in members] for group, members in self.groups.items()}

    def magnitudes(self, layer):
        """Mean magnitude of each unit of a layer now, float32 [units]."""
        return self._average(self._units.pool(self._by_name[layer].weight().float().abs()))

    def leaving(self, layer, choice):
        """Units of a layer that a choice removes, bool [units]."""
        p = self._by_name[layer]
        keep = p.mask_in(choice.masks)
        kept = torch.ones_like(p.parameter) if keep is None else keep.float()
        return self._units.pool(kept.detach()) == 0

    def spread(self, layer, values):
        """Values of a layer's units, float [units], over what is scored: dict of parameter name -> tensor."""
        return {layer: self._units.spread(values, self._by_name[layer].parameter.shape)}

    @property
    def owned(self):
        """Names of all parameters it decides about."""
        return {name for p in self.prunables for name in p.mask_names}


def _check_units(units, name, prunable):
    try:
        units.check(prunable.parameter.shape)
    except ValueError as error:
        raise ValueError(
            f"--prune-units {name}: {prunable.name}: {error}; leave it out, e.g. --prune-skip '{prunable.name}'"
        ) from None
