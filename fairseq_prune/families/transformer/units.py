"""The coupled units of fairseq's Transformers, found by the names of their tensors."""

from dataclasses import replace

import torch
from torch import nn

from ...pruning.surgery.cut import entries
from ...pruning.surgery.structure import Coupled
from ...pruning.surgery.table import Owner, build_table
from ..family import Vectors
from .table import ATTENTION, FEED_FORWARD, block_of, kind_of

_ATTENTION = ("q_proj", "k_proj", "v_proj", "out_proj")
_CAN_BE_CUT = (
    "fairseq.modules.multihead_attention.MultiheadAttention",
    "fairseq_prune.modules.cut_attention.CutAttention",
)


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
    blocks = dict(model.named_modules())  # each once, in however many models of a multilingual one it is
    for entry, (owner,) in build_table(FEED_FORWARD, names).items():
        layer = owner.vector.rpartition(".")[0]
        if layer in blocks and not any(name.startswith(f"{layer}.ffn_layernorm") for name in names):
            found.setdefault(owner.vector, []).append((entry, owner))
    for name, rows in found.items():
        writer, reader = (name.replace("fc_c", part) for part in ("fc1.weight", "fc2.weight"))
        yield rows, Coupled(name, "neuron", len(names[writer]), (writer,), (reader,))


def widths(model: nn.Module) -> Vectors:
    """Residual widths and dimensions of attention of models with connectivity. As :func:`neurons`."""
    table, connectivity = (getattr(model, name, {}) for name in ("table", "connectivity"))
    for vector in getattr(model, "vectors", ()):
        if vector.kind != "neuron":
            owned = ((entry, owner) for entry, owners in table.items() for owner in owners)
            length = len(connectivity[vector.name].vector)
            yield [(e, o) for e, o in owned if o.vector == vector.name], replace(vector, length=length)


def heads(model: nn.Module) -> Vectors:
    """Heads of every attention block: rows of its queries, keys and values, columns of its output.

    As :func:`neurons`.
    """
    for name, block in _attentions(model):
        if block.num_heads > 1 or hasattr(block, "heads"):  # the last one of a block that was cut
            rows = [(f"{name}.heads", Owner(0, name))]
            for part in _ATTENTION:
                layer, axis = getattr(block, part), int(part == "out_proj")
                of_each = torch.arange(block.num_heads).repeat_interleave(layer.weight.shape[axis] // block.num_heads)
                rows.append((f"{name}.{part}.weight", Owner(axis, name, of_each)))
                if layer.bias is not None and not axis:
                    rows.append((f"{name}.{part}.bias", Owner(0, name, of_each)))
            *writers, reader = (f"{name}.{part}.weight" for part in _ATTENTION)
            yield rows, Coupled(name, "head", block.num_heads, tuple(writers), (reader,), can_be_cut(name, block))


def dimensions(model: nn.Module) -> Vectors:
    """Dimensions of queries and keys, and of values, of every attention block; the same number in each of its heads.

    As :func:`neurons`.
    """
    values, blocks = entries(model), dict(_attentions(model))
    found: dict[str, list[tuple[str, Owner]]] = {}
    for entry, (owner,) in build_table(ATTENTION, values).items():
        if kind_of(owner.vector) != "head" and block_of(owner.vector) in blocks:
            found.setdefault(owner.vector, []).append((entry, owner))
    for name, rows in found.items():
        block = blocks[block_of(name)]
        writers, readers = (tuple(e for e, o in rows if o.axis == a and e.endswith("weight")) for a in (0, 1))
        length = values[rows[0][0]].shape[rows[0][1].axis]
        cuts = can_be_cut(block_of(name), block)
        yield rows, Coupled(name, kind_of(name), length, writers, readers, cuts, block.num_heads)


def _attentions(model):
    """(name, attention block) of all that multiply by plain matrices."""
    for name, block in model.named_modules():
        if all(isinstance(getattr(block, part, None), nn.Linear) for part in _ATTENTION):
            yield name, block


def can_be_cut(name: str, block: nn.Module) -> bool:
    """True for attention whose heads and dimensions can be cut out of its tensors; in others they are masked.

    Those are the classes that compute something of their own, blocks of other names than :data:`~.table.ATTENTION`
    knows, and blocks with quantisation noise (which counts in blocks of the whole width), with further keys and values
    that are learnt or zero, or with xFormers.

    Args:
        name: of the block in its model.
        block: module with projections that are ``nn.Linear``.
    """
    stock = f"{type(block).__module__}.{type(block).__qualname__}" in _CAN_BE_CUT and name.endswith("_attn")
    noisy = any(getattr(block, part)._forward_pre_hooks for part in _ATTENTION)
    more = getattr(block, "bias_k", None) is not None or getattr(block, "add_zero_attn", False)
    return stock and not noisy and not more and not getattr(block, "use_xformers", False)
