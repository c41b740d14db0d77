"""The loss of a sample as its task computes it: not every task hands samples to the criterion as they come."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from fairseq.criterions import FairseqCriterion
from fairseq.models import BaseFairseqModel
from fairseq.tasks import FairseqTask
from torch import Tensor, nn

_OURS = f"{__name__.partition('.')[0]}."
Step = Callable[..., Any]  # of (task, sample, model, criterion, optimizer, updates)


def loss_of(task: FairseqTask, criterion: FairseqCriterion, updates: int = 0) -> nn.Module:
    """What takes (model, sample) and returns (loss, size, what is logged), as a criterion does.

    Args:
        task: fairseq task, or the pruning version of one.
        criterion: the task's.
        updates: of the run so far (count), which some tasks weigh their losses by.

    Returns:
        The criterion, or :class:`TaskLoss` where fairseq's task has a training step of its own.
    """
    step = _own_step(task)
    return criterion if step is FairseqTask.train_step else TaskLoss(task, step, criterion, updates)


def _own_step(task: FairseqTask) -> Step:
    """The training step of a class that has none of ours among its bases: ours prune, or carry a state, around it."""
    return next(
        vars(kind)["train_step"]
        for kind in type(task).__mro__
        if "train_step" in vars(kind) and not any(base.__module__.startswith(_OURS) for base in kind.__mro__)
    )


class TaskLoss(nn.Module):
    """A criterion within its task's training step, without that step's training mode and backward pass.

    That step may make part of a sample (Levenshtein's noise), go through the pairs of languages of one, or weigh what
    it sends back; what it sends back is the loss. Its noise is the same for every call that begins from the same state
    of torch's generators, which are left as they were.

    Args:
        task: whose step it is.
        step: function of (task, sample, model, criterion, optimizer, updates).
        criterion: the task's.
        updates: of the run so far (count).
    """

    def __init__(self, task: FairseqTask, step: Step, criterion: FairseqCriterion, updates: int = 0):
        super().__init__()
        self.criterion, self._step, self._updates = criterion, step, updates
        self.task = task

    def forward(self, model: BaseFairseqModel, sample: dict[str, Any]) -> tuple[Tensor, Any, dict[str, Any]]:
        """As a criterion's: (sum of the losses that are sent back, size, what is logged).

        Args:
            model: in whatever mode, which it keeps.
            sample: of the task's data.
        """
        modes = [(part, part.training) for whole in (model, self.criterion) for part in whole.modules()]
        sent = _Sent()
        device = next(model.parameters()).device
        handle = self.criterion.register_forward_pre_hook(lambda *given: _set(modes))
        try:
            with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
                _, size, logged = self._step(self.task, sample, model, self.criterion, sent, self._updates)
        finally:
            handle.remove()
            _set(modes)
        return sum(sent.losses[1:], start=sent.losses[0]), size, logged

    def reduce_metrics(self, logged: list[dict[str, Any]]) -> None:
        """As the criterion's."""
        self.criterion.reduce_metrics(logged)


class _Sent:
    """In the place of an optimizer: keeps the losses instead of going backward."""

    def __init__(self) -> None:
        self.losses: list[Tensor] = []

    def backward(self, loss):
        self.losses.append(loss)


def _set(modes):
    for part, training in modes:
        part.training = training
