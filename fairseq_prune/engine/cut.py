"""Cutting units or whole layers out of a model during training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from torch import Tensor, nn

from ..families.transformer.table import block_of
from ..modules.cut_attention import let_attention_shrink
from ..optim.masters import homes
from ..pruning.surgery.cut import cut_state, cut_statistics, entries, replace_values
from ..pruning.surgery.table import Table
from . import ranks
from .masked_model import MaskedModel

if TYPE_CHECKING:
    from fairseq.optim import FairseqOptimizer


def may_cut(optimizer: FairseqOptimizer, averaged: bool) -> bool:
    """True if shapes can change in the run: one process that steps the model's own parameters, and no averages.

    Args:
        optimizer: the fairseq optimizer.
        averaged: the run keeps moving averages (--store-ema).
    """
    return ranks.world_size() == 1 and not homes(optimizer) and not averaged


def cut_in_run(
    model: nn.Module, table: Table, keep: Mapping[str, Tensor], optimizer: FairseqOptimizer, masked: MaskedModel
) -> None:
    """Cut units out of a model, its optimizer's moments and its masks.

    Parameters stay the same objects, so training continues with the same optimizer.

    Args:
        model: ``nn.Module``.
        table: its removal table.
        keep: dict of vector name -> bool tensor [length], True = keep.
        optimizer: fairseq optimizer that steps the model's own parameters.
        masked: the run's :class:`~.masked_model.MaskedModel`.
    """
    for name, parameter in model.named_parameters():
        state = optimizer.optimizer.state.get(parameter)
        if state and name in table:
            cut_statistics(state, parameter.shape, table[name], keep)
    let_attention_shrink(model, [block_of(vector) for vector, units in keep.items() if not units.all()])
    replace_values(model, cut_state(entries(model), table, keep))
    masks = cut_state(masked.local_masks(), table, keep)
    masked.set_masks({name: mask for name, mask in masks.items() if not mask.all()})


def cut_layers_in_run(
    model: nn.Module, keep: Mapping[str, Tensor], optimizer: FairseqOptimizer, masked: MaskedModel
) -> None:
    """Cut layers out of a model, and their parameters and moments out of its optimizer.

    Args:
        model: ``nn.Module``.
        keep: dict of stack name -> bool [layers], True = keep.
        optimizer: fairseq optimizer that steps the model's own parameters.
        masked: the run's :class:`~.masked_model.MaskedModel`.
    """
    before = set(model.parameters())
    masked.cut_layers(keep)
    gone = before - set(model.parameters())
    for group in optimizer.optimizer.param_groups:
        group["params"] = [parameter for parameter in group["params"] if parameter not in gone]
    for parameter in gone:
        optimizer.optimizer.state.pop(parameter, None)
