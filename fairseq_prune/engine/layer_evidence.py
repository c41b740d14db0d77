"""Evidence for whole layers: what a model computes with and without each of them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..families import stacks_of
from ..pruning.surgery.depth import bypass, layers_of, padding_of

if TYPE_CHECKING:
    from fairseq.criterions import FairseqCriterion
    from fairseq.models import BaseFairseqModel


def layer_count(model: nn.Module) -> int:
    """Layers of all stacks (count)."""
    return sum(len(layers_of(model, stack)) for stack in stacks_of(model))


@torch.no_grad()
def hidden_change(
    model: BaseFairseqModel,
    criterion: FairseqCriterion,
    batches: Iterable[dict[str, Any]],
) -> dict[str, Tensor]:
    """1 - cosine between the hidden state before and after each layer, mean over tokens, summed over batches.

    Source: Men et al. 2024 (arXiv:2403.03853), eq. 2. Padding is left out.

    Args:
        model: fairseq model in eval mode.
        criterion: that runs it.
        batches: collated samples.

    Returns:
        dict of stack name -> tensor [layers].
    """
    none = torch.zeros((), device=next(model.parameters()).device)
    totals = {stack: [none] * len(layers_of(model, stack)) for stack in stacks_of(model)}

    def note(stack, number):
        def hook(layer, args, kwargs, output):
            after = output[0] if isinstance(output, tuple) else output
            change = mean_change(args[0], after, padding_of(layer, args, kwargs))
            totals[stack][number] = totals[stack][number].to(change) + change

        return hook

    with contextlib.ExitStack() as hooks:
        for stack in totals:
            for number, layer in enumerate(layers_of(model, stack)):
                handle = layer.register_forward_hook(note(stack, number), with_kwargs=True)
                hooks.callback(handle.remove)
        for sample in batches:
            criterion(model, sample)
    return {stack: torch.stack(changes) for stack, changes in totals.items()}


def mean_change(before: Tensor, after: Tensor, padding: Tensor | None = None) -> Tensor:
    """Mean over tokens of 1 - cosine.

    Args:
        before: hidden state [tokens, sentences, channels].
        after: the same.
        padding: bool [sentences, tokens], True = no token; None: there is none.

    Returns:
        Tensor [] in float32, or wider.
    """
    dtype = torch.promote_types(before.dtype, torch.float32)
    change = 1 - F.cosine_similarity(before.to(dtype), after.to(dtype), dim=-1)
    real = torch.ones_like(change) if padding is None else (~padding).t().to(change)
    return (change * real).sum() / real.sum()


@torch.no_grad()
def loss_growth(
    model: BaseFairseqModel,
    criterion: FairseqCriterion,
    batches: Iterable[dict[str, Any]],
) -> dict[str, Tensor]:
    """How much the mean loss grows when each layer alone is skipped, summed over batches.

    Arguments and result as of :func:`hidden_change`.
    """
    batches = list(batches)
    whole = _loss(model, criterion, batches)
    return {
        stack: torch.stack(
            [_loss_without(layer, model, criterion, batches) - whole for layer in layers_of(model, stack)]
        )
        for stack in stacks_of(model)
    }


def _loss_without(layer, model, criterion, batches):
    with skipped(layer):
        return _loss(model, criterion, batches)


def _loss(model, criterion, batches):
    losses = [loss / size for loss, size, _ in (criterion(model, sample) for sample in batches)]
    return torch.stack([loss.float() for loss in losses]).sum()


@contextlib.contextmanager
def skipped(layer: nn.Module) -> Iterator[None]:
    """Context in which a model does without a layer."""
    handle = layer.register_forward_hook(bypass)
    try:
        yield
    finally:
        handle.remove()
