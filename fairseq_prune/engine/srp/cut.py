"""Cutting a model while it trains."""

from ...pruning.surgery.cut import cut_state, cut_statistics, entries, replace_values


def cut_in_run(model, keep, optimizer, masked):
    """Cut units out of a model, its optimizer's moments and its masks.

    Parameters stay the same objects, so training goes on with the same optimizer.

    Args:
        model: an SRP Transformer.
        keep: dict of vector name -> bool tensor [length], True = keep.
        optimizer: fairseq optimizer that steps the model's own parameters.
        masked: the run's :class:`~fairseq_prune.engine.masked_model.MaskedModel`.
    """
    for name, parameter in model.named_parameters():
        state = optimizer.optimizer.state.get(parameter)
        if state and name in model.table:
            cut_statistics(state, parameter.shape, model.table[name], keep)
    replace_values(model, cut_state(entries(model), model.table, keep))
    masked.hold(cut_state(masked.local_masks(), model.table, keep))
    model.refresh()
