"""Pruning one group of a model temporarily; afterwards its weights are restored bit for bit."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from ..engine.masked_model import MaskedModel
from ..engine.model_info import ModelInfo
from ..engine.plan import Plan
from ..engine.removal import Removal
from ..engine.targets import Targets
from ..pruning.budget.given import Target
from ..pruning.selecting.selector import Selector
from ..pruning.surgery.structure import Structure
from .prune import idle_optimizer


class Probe:
    """Masks one group at a time. What has been removed of the model stays removed throughout.

    Args:
        model: any ``nn.Module``; its parameters are kept once more.
        plan: what to remove, as of :func:`~.prune.plan_at_once`; its target does not matter.
        info: what is known about the model.

    Attributes:
        selector: of the plan's units, :class:`~fairseq_prune.pruning.selecting.selector.Selector`; its groups are
            what is pruned alone.

    Raises:
        ValueError: units that are removed by other means than masks, or by data; or as
            :class:`~fairseq_prune.engine.targets.Targets`.
    """

    def __init__(self, model: nn.Module, plan: Plan, info: ModelInfo):
        if plan.evidence:
            raise ValueError(f"--prune-method {plan.method}: goes by data; give e.g. magnitude")
        self._seed, self._masked, self._optimizer = plan.seed, MaskedModel(model), idle_optimizer(model)
        self._removal = Removal(model, self._masked, averaged=False)
        self._targets = Targets(model, plan, _WithoutTargets(info))
        self.selector: Selector = self._targets.selector
        if self.selector.multiplies:
            raise ValueError(f"--prune-units {plan.units}: are removed by multipliers, not by masks; give e.g. neuron")
        self._masks = dict(self._masked.local_masks())
        self._values = {name: p.detach().clone() for name, p in self._masked.parameters.items()}

    def count(self, group: str) -> tuple[int, int]:
        """(removed, total) of a group as it is, in what its budget counts."""
        return self.selector.count(group, self._masked.local_masks())

    def can(self, group: str, fraction: float) -> bool:
        """True if so much can be removed, so that one unit at least stays."""
        return self.selector.highest(group, fraction) is None

    @contextmanager
    def without(self, group: str, fraction: float) -> Iterator[None]:
        """Context in which a fraction of one group is removed.

        Args:
            group: name.
            fraction: removed of it, in [0, 1); what is more than that already stays so.
        """
        fractions = dict.fromkeys(self.selector.groups, 0.0) | {group: fraction}
        selection = self.selector.select(fractions, self._masks, torch.Generator().manual_seed(self._seed), None)
        selection = self._targets.intersected(selection, self._masks).checked()
        try:
            self._removal.mask(selection, self._targets.prunables, self._optimizer)
            yield
        finally:
            self._masked.set_masks(self._masks)
            for name, value in self._values.items():
                self._masked.parameters[name].data.copy_(value)


class _WithoutTargets(ModelInfo):
    """What is known about a model of which nothing is to be removed."""

    def __init__(self, info: ModelInfo):
        self._info = info

    def find_structure(self, model: Any) -> Structure:
        return self._info.find_structure(model)

    def find_targets(self, selector: Selector, model: Any, target: Target) -> Target:
        return dict.fromkeys(selector.groups, 0.0)
