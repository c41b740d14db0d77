"""The coupled units of fairseq's Transformers and recurrent models, found by the names of their tensors."""

import re

import torch
from torch import nn

from ..pruning.surgery.cut import entries
from ..pruning.surgery.structure import Coupled, Structure
from ..pruning.surgery.table import Owner, build_table
from .transformer import FEED_FORWARD

_ATTENTION = ("q_proj", "k_proj", "v_proj", "out_proj")
_GATES = {nn.LSTM: 4, nn.GRU: 3, nn.LSTMCell: 4, nn.GRUCell: 3}


def structure_of(model):
    """Feed-forward neurons, attention heads and hidden units.

    Hidden units are those of layers whose state begins at zero: without any input, a unit then stays at zero.
    Heads and hidden units are masked and not cut, as fairseq's modules have one size for all of theirs.

    Args:
        model: ``nn.Module``.

    Returns:
        :class:`~.structure.Structure`; without vectors where the model has none of these.
    """
    table, vectors = {}, {}
    for rows, vector in (*_neurons(model), *_heads(model), *_hidden_units(model)):
        vectors[vector.name] = vector
        for entry, owner in rows:
            table.setdefault(entry, []).append(owner)
    return Structure({entry: tuple(owners) for entry, owners in table.items()}, vectors)


def _neurons(model):
    """Units of every feed-forward block without a norm inside."""
    names, found = entries(model), {}
    for entry, (owner,) in build_table(FEED_FORWARD, names).items():
        if not any(name.startswith(owner.vector.replace("fc_c", "ffn_layernorm")) for name in names):
            found.setdefault(owner.vector, []).append((entry, owner))
    for name, rows in found.items():
        writer, reader = (name.replace("fc_c", part) for part in ("fc1.weight", "fc2.weight"))
        yield rows, Coupled(name, "neuron", len(names[writer]), (writer,), (reader,), name not in names)


def _heads(model):
    """Heads of every attention block: rows of its queries, keys and values, columns of its output."""
    for name, block in model.named_modules():
        if all(isinstance(getattr(block, part, None), nn.Linear) for part in _ATTENTION) and block.num_heads > 1:
            rows = []
            for part in _ATTENTION:
                layer, axis = getattr(block, part), int(part == "out_proj")
                heads = torch.arange(block.num_heads).repeat_interleave(layer.weight.shape[axis] // block.num_heads)
                rows.append((f"{name}.{part}.weight", Owner(axis, name, heads)))
                if layer.bias is not None and not axis:
                    rows.append((f"{name}.{part}.bias", Owner(0, name, heads)))
            *writers, reader = (f"{name}.{part}.weight" for part in _ATTENTION)
            yield rows, Coupled(name, "head", block.num_heads, tuple(writers), (reader,), False)


def _hidden_units(model):
    """Hidden units of recurrent layers and of the cells of models without an encoder."""
    feeds_state = any(name.startswith("encoder.") for name, _ in model.named_modules())
    for name, module in model.named_modules():
        kind = next((kind for kind in _GATES if isinstance(module, kind)), None)
        if kind is None or (feeds_state and kind in (nn.LSTMCell, nn.GRUCell)):
            continue
        for part in _parts(module):
            yield _hidden(f"{name}.", module, part, torch.arange(module.hidden_size).repeat(_GATES[kind]))


def _parts(module):
    """What the names of one layer's tensors end in: ``_l0``, ``_l0_reverse``; nothing for cells."""
    weights = (re.fullmatch(r"weight_hh(.*)", name) for name, _ in module.named_parameters(recurse=False))
    return [match[1] for match in weights if match]


def _hidden(prefix, module, part, units):
    """Rows of all gates, columns of the recurrent weight, columns of the next layer's input."""
    name, width = f"{prefix}weight_hh{part}", module.hidden_size
    own = [f"{kind}_{side}{part}" for kind in ("weight", "bias") for side in ("ih", "hh")]
    rows = [(prefix + entry, Owner(0, name, units)) for entry in own if hasattr(module, entry)]
    rows.append((name, Owner(1, name)))
    layer = re.fullmatch(r"_l(\d+)(_reverse)?", part)
    above = layer and [f"weight_ih_l{int(layer[1]) + 1}{direction}" for direction in ("", "_reverse")]
    above = [entry for entry in above or () if hasattr(module, entry)]
    for entry in above:
        columns = torch.full((getattr(module, entry).shape[1],), -1)
        start = width if layer[2] else 0
        columns[start : start + width] = torch.arange(width)
        rows.append((prefix + entry, Owner(1, name, columns)))
    writers = tuple(f"{prefix}weight_{side}{part}" for side in ("ih", "hh"))
    readers = (name, *(prefix + entry for entry in above))
    return rows, Coupled(name, "hidden", width, writers, readers, False)
