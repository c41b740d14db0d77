"""The contents of a checkpoint, from the file alone: sizes, zeros, masks and cost.

Two fractions are reported. ``fraction_removed`` is the share of ALL parameters that are exactly
zero; ``prunable_fraction_removed`` is the same share of the prunable set (parameters with two or more
axes, embeddings included; of weight-normalised pairs, the direction). Both count the weights that exist:
what was cut out is no longer in the shapes, and shows in ``params`` and ``macs``.
"""

import argparse
import os
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from ..checkpoint.tensors import TensorEntry, direction_name, fraction, scale_name, tensor_rows
from ..pruning.masks import stored_masks
from .cost import count_macs
from .legacy_flops import legacy_flops
from .structure import describe_structure

Report = dict[str, Any]  # plain values: "total", and "tensors" or "layers"


def totals(rows: Sequence[TensorEntry]) -> dict[str, Any]:
    """Add up rows, over all parameters and over the prunable set.

    Args:
        rows: list of :class:`~..checkpoint.tensors.TensorEntry`.

    Returns:
        dict of counts and fractions in [0, 1].
    """
    params, nonzero = sum(row.params for row in rows), sum(row.nonzero for row in rows)
    prunable = [row for row in rows if row.prunable]
    prunable_params = sum(row.params for row in prunable)
    prunable_nonzero = sum(row.nonzero for row in prunable)
    return {
        "params": params,
        "nonzero": nonzero,
        "fraction_removed": fraction(params - nonzero, params),
        "prunable_params": prunable_params,
        "prunable_nonzero": prunable_nonzero,
        "prunable_fraction_removed": fraction(prunable_params - prunable_nonzero, prunable_params),
    }


def count_masked(model_state: Mapping[str, Any], rows: Sequence[TensorEntry]) -> int:
    """Count the weights that the stored masks remove.

    A weight-normalised element is removed by the mask of its direction or of its scale.

    Args:
        model_state: ``checkpoint["model"]``, with or without masks.
        rows: its rows, one for all names of a tied parameter.

    Returns:
        Removed weights (count); 0 without masks.

    Raises:
        ValueError: the bits of a mask do not fit its shape.
    """
    masks, removed = stored_masks(model_state), 0
    for row in rows:
        if direction_name(row.name) in model_state:
            continue
        parts = [masks[name] for name in (row.name, *row.aliases, scale_name(row.name)) if name in masks]
        if parts:
            removed += row.params - int(_kept_by_all(parts, row.shape).count_nonzero())
    return removed


def _kept_by_all(masks, shape):
    """The weights that all of the masks keep: bool tensor of ``shape``, to which the masks broadcast."""
    keep = torch.ones(shape, dtype=torch.bool)
    for mask in masks:
        keep &= mask
    return keep


def model_settings(state: Mapping[str, Any]) -> Mapping[str, Any]:
    """The model's options as a dict, from the ``cfg`` of new or the ``args`` of old checkpoints; {} without either."""
    config = _as_dict(state.get("cfg"))
    return _as_dict(config.get("model")) or _as_dict(state.get("args"))


def _as_dict(value):
    if isinstance(value, argparse.Namespace):
        return vars(value)
    return value if isinstance(value, Mapping) else {}


def inspect_checkpoint(state: Mapping[str, Any], path: str, lengths: tuple[int, int], legacy: bool = False) -> Report:
    """Describe a loaded checkpoint.

    Args:
        state: the contents of the checkpoint; ``state["model"]`` is the state dict.
        path: the file it came from.
        lengths: (source tokens, target tokens) for the cost.
        legacy: add ``legacy_flops`` to the totals, for sentences of the source length.

    Returns:
        ``{"total": {...}, "tensors": [{"name", "shape", "params", "nonzero", "fraction_removed"}]}``, and
        ``"structure"`` from :func:`~.structure.describe_structure`; plain values only. ``macs`` and ``family`` are
        None if the architecture is not known.

    Raises:
        ValueError: the checkpoint has no model, masks do not fit, or ``legacy`` is given for a model that
            :func:`~.legacy_flops.legacy_flops` does not know.
    """
    model, settings = state.get("model"), model_settings(state)
    if not isinstance(model, Mapping):
        raise ValueError(f"checkpoint {path}: holds no model; give a file that fairseq-train saved")
    rows = tensor_rows(model)
    family, macs = count_macs(model, *lengths)
    if settings.get("cross_self_attention"):  # attends to source and target at once, which no shape shows
        family, macs = None, None
    total = totals(rows) | {
        "masked": count_masked(model, rows),
        "macs": macs,
        "lengths": list(lengths),
        "bytes": os.path.getsize(path),
        "arch": settings.get("arch") or settings.get("_name"),
        "family": family,
        "tied": {row.name: list(row.aliases) for row in rows if row.aliases},
        "prunable": [row.name for row in rows if row.prunable],
    }
    if legacy:
        total["legacy_flops"] = legacy_flops(model, settings.get("encoder_attention_heads"), lengths[0])
    structure = describe_structure(model, settings)
    return {"total": total, "tensors": [_describe(row) for row in rows], "structure": structure}


def _describe(row):
    return {
        "name": row.name,
        "shape": list(row.shape),
        "params": row.params,
        "nonzero": row.nonzero,
        "fraction_removed": row.fraction_removed,
    }
