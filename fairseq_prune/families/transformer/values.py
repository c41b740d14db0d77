"""The value dimensions of attention, which can be permuted within their head."""

import torch
from torch import nn

from ...pruning.surgery.cut import entries
from ...pruning.surgery.structure import Coupled
from ...pruning.surgery.table import Owner
from ..family import Vectors

_PROJECTIONS = {"q_proj", "k_proj", "v_proj", "out_proj"}
_AXES = {  # of what is written along value dimensions, last in packed tensors
    "v_proj.weight": 0, "v_proj.bias": 0, "v_proj_weight": 0, "in_proj_weight": 0, "in_proj_bias": 0, "bias_v": 2,
}  # fmt: skip


def value_dims(model: nn.Module) -> Vectors:
    """Rows of the values and columns of the output, a vector for each head.

    Args:
        model: ``nn.Module``; attention is fairseq's, SRP's or ``nn.MultiheadAttention``.

    Yields:
        (list of (entry name, :class:`~fairseq_prune.pruning.surgery.table.Owner`),
        :class:`~fairseq_prune.pruning.surgery.structure.Coupled`).
    """
    values = entries(model)
    for block, module in model.named_modules():
        if _is_attention(module):
            axes = {f"{block}.{part}".lstrip("."): axis for part, axis in _AXES.items()} | {f"{block}_vo_c": 0}
            written = {entry: (axis, values[entry].shape[axis]) for entry, axis in axes.items() if entry in values}
            reader = f"{block}.out_proj.weight".lstrip(".")
            if reader in values and any(len(values[entry].shape) == 2 for entry in written):  # else reparametrised
                for head in range(module.num_heads):
                    yield _head(f"{block}.head{head}".lstrip("."), head, module, written, reader)


def _is_attention(module):
    split = hasattr(module, "num_heads") and _PROJECTIONS <= {name for name, _ in module.named_children()}
    return split or isinstance(module, nn.MultiheadAttention)


def _head(name, head, module, written, reader):
    """The value dimensions of one head; ``written``: dict of entry name -> (axis, its length)."""
    width = module.out_proj.weight.shape[1]
    units = width // module.num_heads
    rows = []
    for entry, (axis, size) in {**written, reader: (1, width)}.items():
        elements, start = torch.full((size,), -1), size - width + head * units
        elements[start : start + units] = torch.arange(units)
        rows.append((entry, Owner(axis, name, elements)))
    return rows, Coupled(name, "value", units, (next(iter(written)),), (reader,), False)
