"""The part of a task that logs what is removed, what is left, and what training has cost."""

import os
from typing import Any

from fairseq.logging import metrics
from fairseq.models import BaseFairseqModel
from fairseq.tasks import FairseqTask

from ..pruning.times import Position
from .account import Account, NodeCount, log_harmonic_mean
from .clock import is_shown
from .plan import Plan
from .pruner import Pruner


class AccountingMixin(FairseqTask):
    """The part of :class:`~.mixin.PruneMixin` that tells what it costs; the attributes declared here are set there."""

    plan: Plan
    options: Any
    pruner: Pruner
    account: Account
    _nodes: NodeCount
    _position: Position
    _file_bytes = 0  # of the last checkpoint

    def post_save(self, path, updates):
        """Called by fairseq once a checkpoint is written, which it may have deleted at once as not good enough."""
        self._file_bytes = os.path.getsize(path) if os.path.exists(path) else self._file_bytes

    def reduce_metrics(self, logging_outputs, criterion):
        super().reduce_metrics(logging_outputs, criterion)
        if self.pruner.fraction_removed:
            metrics.log_scalar("removed", self.pruner.fraction_removed, weight=0, round=4, priority=250)
            log_harmonic_mean()
        if is_shown(self._position, self.options, criterion.training):
            for name, value in self.pruner.metrics.items():
                metrics.log_scalar(name, value, weight=0, round=6, priority=251)
        if self.plan.prunes:
            if criterion.training:
                self.account.spend_update(int(sum(log.get("nsentences", 0) for log in logging_outputs)))
            self.account.log()
            if self._file_bytes:
                metrics.log_scalar("checkpoint_bytes", self._file_bytes, weight=0, round=0, priority=255)

    def costs(self, model: BaseFairseqModel) -> dict[str, int]:
        """What is left of a model, dict of name -> count."""
        return {"params": self.pruner.masked.parameters_left} | self._nodes.count()
