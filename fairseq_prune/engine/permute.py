"""Reordering a model's channels during training, before N:M selections."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import torch
from torch import nn

from ..optim.masters import homes, moments_of, values_of
from ..pruning.budget.given import Target
from ..pruning.masks import Masks
from ..pruning.permute.apply import permute_tensor, permuted
from ..pruning.surgery.structure import Structure
from ..pruning.units import NofM

if TYPE_CHECKING:
    from fairseq.optim import FairseqOptimizer


logger = logging.getLogger(__name__)


@torch.no_grad()
def permute_in_run(
    model: nn.Module,
    structure: Structure,
    goals: Target,
    optimizer: FairseqOptimizer,
    seed: int,
    masks: Masks | None = None,
) -> Masks:
    """Reorder coupled units so that N:M selections keep more; the model computes the same.

    All ranks find the same order, from equal weights and seed.

    Args:
        model: ``nn.Module``.
        structure: :class:`~fairseq_prune.pruning.surgery.structure.Structure` of what may be reordered.
        goals: dict of parameter name -> :class:`~fairseq_prune.pruning.units.NofM`; those at 0 have none.
        optimizer: fairseq optimizer; its masters and moments go along.
        seed: of the search.
        masks: in force, dict of parameter name -> bool.

    Returns:
        The masks in the new order.
    """
    masks = dict(masks or {})
    generator, masters = torch.Generator().manual_seed(seed), homes(optimizer)
    parameters = dict(model.named_parameters())
    named = {**parameters, **dict(model.named_buffers())}
    for goal in sorted({goal for goal in goals.values() if goal and isinstance(goal, NofM)}, key=str):
        readers = {name for name, wanted in goals.items() if wanted == goal}
        orders = permuted(model, structure, goal.n, goal.m, generator, sparse=readers)
        for name, keep in masks.items():
            masks[name] = permute_tensor(keep, structure.table.get(name, ()), orders)
        for name, tensor in named.items():
            owners = structure.table.get(name, ())
            if name not in parameters:
                tensor.copy_(permute_tensor(tensor, owners, orders))
                continue
            parameter = parameters[name]
            for value in (*values_of(parameter, masters), *moments_of(parameter, masters, optimizer)):
                value.copy_(permute_tensor(value, owners, orders))
        logger.info(f"reordered the units of {len(orders)} of {len(structure.vectors)} layers for {goal}")
    return masks
