"""The inputs of a fairseq model's layers over training batches, gathered layer by layer."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from ..pruning.calibration.inputs import Inputs
from ..pruning.calibration.lockstep import Walk, count_uses
from . import ranks
from .evaluating import evaluating

if TYPE_CHECKING:
    from fairseq.criterions import FairseqCriterion
    from fairseq.models import BaseFairseqModel

Sample = dict[str, Any]  # a batch of fairseq's


def inputs(
    model: BaseFairseqModel,
    criterion: FairseqCriterion,
    batches: Sequence[Sample],
    paired: bool = False,
) -> Iterator[tuple[str, Inputs]]:
    """Inputs of each weight, in the order in which the model multiplies them.

    Args:
        model: fairseq model; in eval mode meanwhile.
        criterion: the run's.
        batches: this rank's.
        paired: products of pairs of inputs, too.

    Yields:
        As :class:`~..pruning.calibration.lockstep.Walk`.

    Raises:
        ValueError: no weight is multiplied.
    """
    weights = {name: p for name, p in model.named_parameters() if p.requires_grad and p.dim() > 1}

    def run(sample):
        criterion(model, sample)

    with evaluating(model, criterion), plain_products(model):
        longest = max(map(_first_of, batches), key=_size, default=None)  # of the most steps of a loop over time
        uses = count_uses(weights, run, longest) if batches else {}
        uses = {name: ranks.largest(uses.get(name, 0), p.device) for name, p in weights.items()}
        if not any(uses.values()):
            raise ValueError(
                "the model multiplies none of its weights as they are stored, so there are no inputs to go by; "
                "give e.g. --prune-method magnitude --prune-target 0.5"
            )
        device = next(iter(weights.values())).device
        yield from Walk(weights, run, batches, uses, paired, lambda n: -ranks.largest(-n, device), ranks.average)


def input_products(
    model: BaseFairseqModel,
    criterion: FairseqCriterion,
    batches: Sequence[Sample],
) -> Iterator[tuple[str, Inputs]]:
    """As :func:`inputs`, with products of pairs."""
    return inputs(model, criterion, batches, paired=True)


def _first_of(sample):
    """The first row of a batch: enough to count what a pass does."""
    if torch.is_tensor(sample):
        return sample[:1]
    if isinstance(sample, dict):
        return {key: _first_of(value) for key, value in sample.items()}
    if isinstance(sample, list):  # of labels of several kinds, as HuBERT's
        return [_first_of(value) for value in sample]
    return sample


def _size(sample):
    """Numbers in all tensors of a batch (count)."""
    if isinstance(sample, (dict, list)):
        return sum(map(_size, sample.values() if isinstance(sample, dict) else sample))
    return sample.numel() if torch.is_tensor(sample) else 0


@contextlib.contextmanager
def plain_products(model: nn.Module) -> Iterator[None]:
    """Have torch compute recurrent layers and attention by products that can be seen, not in one call each."""
    fast, onednn = torch.backends.mha.get_fastpath_enabled(), torch.backends.mkldnn.enabled
    torch.backends.mha.set_fastpath_enabled(False)
    if any(isinstance(part, nn.RNNBase) for part in model.modules()):
        torch.backends.mkldnn.enabled = False  # type: ignore[assignment]
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        torch.backends.mkldnn.enabled = onednn  # type: ignore[assignment]
