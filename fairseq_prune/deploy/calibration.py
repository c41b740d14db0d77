"""Gathering evidence for a checkpoint's model from training data, without a training run."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..engine.evidence import gather
from ..engine.scoring import ScoringMixin
from ..engine.task_loss import loss_of

if TYPE_CHECKING:
    from omegaconf import DictConfig

_TAKEN = {  # of the training's config, what composes batches
    "prune_max_tokens": "max_tokens",
    "prune_batch_size": "batch_size",
    "prune_batch_multiple": "required_batch_size_multiple",
    "prune_train_subset": "train_subset",
}
Gather = Callable[[Any, str, int, int], Any]  # of a model: kind, batches, seed


def evidence_of(task: ScoringMixin, config: DictConfig) -> Gather:
    """A function that gathers evidence over batches as the training had.

    Args:
        task: the pruning version of the checkpoint's.
        config: the checkpoint's.

    Returns:
        function of (model, kind of evidence, batches (count), seed), as :func:`~..engine.evidence.gather`; what it
        needs of the data is read when it is called.
    """
    for mine, theirs in _TAKEN.items():
        setattr(task.options, mine, getattr(config.dataset, theirs))

    def gathered(model, kind, count, seed):
        task.load_dataset(task.options.prune_train_subset)
        criterion = task.build_criterion(config.criterion)
        with task.scoring_batches(model, count, seed) as batches:
            samples = list(batches)
        loss = loss_of(task, criterion.to(next(model.parameters()).device))
        return gather(kind, model, loss, samples)

    return gathered
