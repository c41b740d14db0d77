"""The coupled units of fairseq's Transformers, found by the names of their tensors."""

from dataclasses import replace

import torch
from torch import nn

from ...pruning.surgery.cut import entries
from ...pruning.surgery.structure import Coupled
from ...pruning.surgery.table import Owner, build_table
from ..family import Vectors
from .table import FEED_FORWARD

_ATTENTION = ("q_proj", "k_proj", "v_proj", "out_proj")


def neurons(model: nn.Module) -> Vectors:
    """Units of every feed-forward block without a norm inside.

    Args:
        model: ``nn.Module``.

    Yields:
        (list of (entry name, :class:`~fairseq_prune.pruning.surgery.table.Owner`),
        :class:`~fairseq_prune.pruning.surgery.structure.Coupled`).
    """
    names = entries(model)
    found: dict[str, list[tuple[str, Owner]]] = {}
    for entry, (owner,) in build_table(FEED_FORWARD, names).items():
        if not any(name.startswith(owner.vector.replace("fc_c", "ffn_layernorm")) for name in names):
            found.setdefault(owner.vector, []).append((entry, owner))
    for name, rows in found.items():
        writer, reader = (name.replace("fc_c", part) for part in ("fc1.weight", "fc2.weight"))
        yield rows, Coupled(name, "neuron", len(names[writer]), (writer,), (reader,))


def dimensions(model: nn.Module) -> Vectors:
    """Residual widths and dimensions of attention, which only models with connectivity know. As :func:`neurons`."""
    table, connectivity = (getattr(model, name, {}) for name in ("table", "connectivity"))
    for vector in getattr(model, "vectors", ()):
        if vector.kind != "neuron":
            owned = ((entry, owner) for entry, owners in table.items() for owner in owners)
            length = len(connectivity[vector.name].vector)
            yield [(e, o) for e, o in owned if o.vector == vector.name], replace(vector, length=length)


def heads(model: nn.Module) -> Vectors:
    """Heads of every attention block: rows of its queries, keys and values, columns of its output.

    They are masked and not cut, as fairseq's modules have one number of heads for all. As :func:`neurons`.
    """
    for name, block in model.named_modules():
        if all(isinstance(getattr(block, part, None), nn.Linear) for part in _ATTENTION) and block.num_heads > 1:
            rows = []
            for part in _ATTENTION:
                layer, axis = getattr(block, part), int(part == "out_proj")
                of_each = torch.arange(block.num_heads).repeat_interleave(layer.weight.shape[axis] // block.num_heads)
                rows.append((f"{name}.{part}.weight", Owner(axis, name, of_each)))
                if layer.bias is not None and not axis:
                    rows.append((f"{name}.{part}.bias", Owner(0, name, of_each)))
            *writers, reader = (f"{name}.{part}.weight" for part in _ATTENTION)
            yield rows, Coupled(name, "head", block.num_heads, tuple(writers), (reader,), False)
