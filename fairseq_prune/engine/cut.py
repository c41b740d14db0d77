"""Cutting a model while it trains."""

from ..optim.masters import homes
from ..pruning.surgery.cut import cut_state, cut_statistics, entries, replace_values
from . import ranks


def may_cut(optimizer, averaged):
    """True where shapes can change in a run: one process, which steps the model's own parameters, no averages.

    Args:
        optimizer: the fairseq optimizer.
        averaged: the run keeps moving averages (--store-ema).
    """
    return ranks.world_size() == 1 and not homes(optimizer) and not averaged


def cut_in_run(model, table, keep, optimizer, masked):
    """Cut units out of a model, its optimizer's moments and its masks.

    Parameters stay the same objects, so training goes on with the same optimizer.

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
    replace_values(model, cut_state(entries(model), table, keep))
    masks = cut_state(masked.local_masks(), table, keep)
    masked.hold({name: mask for name, mask in masks.items() if not mask.all()})
