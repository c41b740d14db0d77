"""Selecting units during a run, by the model's weights or by evidence gathered at the current event."""

from collections.abc import Callable
from typing import Any

from torch import nn

from ..pruning.importance import EVIDENCE
from ..pruning.selecting import Selection
from ..pruning.selecting.selector import Values
from .layerwise import select_layerwise
from .masked_model import MaskedModel
from .targets import Targets

Gather = Callable[[nn.Module, str, int], Any]  # -> evidence of its kind


class Selecting:
    """Selects for a pruner, :class:`~fairseq_prune.methods.approach.Select`.

    Args:
        model: ``nn.Module``.
        masked: its :class:`~.masked_model.MaskedModel`.
        targets: its :class:`~.targets.Targets`.
        gather: function of (model, kind, event) -> evidence (:mod:`~.evidence`).
        event: function -> number of the event.
    """

    def __init__(
        self, model: nn.Module, masked: MaskedModel, targets: Targets, gather: Gather, event: Callable[[], int]
    ):
        self._model, self._masked, self._targets, self._gather, self._event = model, masked, targets, gather, event

    @property
    def counts(self) -> bool:
        """As of :class:`~fairseq_prune.methods.approach.Select`."""
        return self._targets.plan.counts

    def __call__(self, evidence: Values | None = None) -> Selection:
        """As :meth:`~fairseq_prune.methods.approach.Select.__call__`."""
        targets, event, masks = self._targets, self._event(), self._masked.local_masks()
        kind = EVIDENCE.get(targets.plan.importance)
        found: Any = self.gather(kind) if evidence is None and kind else evidence
        if targets.plan.layerwise:
            return select_layerwise(targets, self._masked.parameters, event, masks, found)
        return targets.select(event, masks, found)

    def gather(self, kind: str) -> Values:
        """As :meth:`~fairseq_prune.methods.approach.Select.gather`."""
        return self._gather(self._model, kind, self._event())
