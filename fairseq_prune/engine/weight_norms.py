"""Weight-normalised layers that lose elements of their directions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..methods.checks import approach_of
from ..optim.masters import homes, multiply_values, values_of
from ..pruning.importance import EVIDENCE
from ..pruning.masks import Masks
from ..pruning.prunable import Prunable

if TYPE_CHECKING:
    from fairseq.optim import FairseqOptimizer

    from .plan import Plan


def rescale_norms(prunables: Iterable[Prunable], masks: Masks, optimizer: FairseqOptimizer) -> list[str]:
    """Keep the surviving weights of weight-normalised layers as they are.

    Args:
        prunables: list of :class:`~fairseq_prune.pruning.prunable.Prunable`.
        masks: that will be held, dict of parameter name -> bool.
        optimizer: the fairseq optimizer.

    Returns:
        Names of their scales.
    """
    masters = homes(optimizer)
    rescaled = [(p, p.scale) for p in prunables if p.scale and p.name in masks]
    for p, scale in rescaled:
        shrinkage = scale.shrinkage(values_of(p.parameter, masters)[0], masks[p.name])
        multiply_values([scale.parameter], [shrinkage], masters)
    return [scale.name for _, scale in rescaled]


def check_weight_norm(plan: Plan, prunable: Prunable) -> None:
    """Refuse a weight-normalised tensor in plans that do more than mask it by magnitude.

    What is done to the stored direction, or derived by it, would mean something else for the weight.

    Args:
        plan: of the run.
        prunable: one of its tensors.

    Raises:
        ValueError: it is weight-normalised, and the plan does more than mask by magnitude.
    """
    kind = approach_of(plan)
    if prunable.scale and (kind and not kind.weight_normed or plan.importance in EVIDENCE):
        raise ValueError(f"it is weight-normalised, which --prune-method {plan.method} cannot take")
