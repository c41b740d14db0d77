"""The hidden units of recurrent models, with all that reads them: layers above, the decoder, attention, output.

The state that an encoder hands on makes the units of a decoder's layer the same as those of the encoder's layer
beside it. All readers are known only of models whose every part is known, as any other module could read the states.
"""

import re

import torch
from torch import nn

from ...pruning.surgery.cut import entries
from ...pruning.surgery.structure import Coupled
from ...pruning.surgery.table import Owner
from ..family import Vectors

_WEIGHTS = ("weight_ih", "weight_hh")
_DROPOUT = {"dropout", "dropout_module", "dropout_in_module", "dropout_out_module"}
_OUTPUTS = ("additional_fc", "fc_out", "output_projection")  # the first of these reads a language model's states
_DECODER = {"embed_tokens", "lstm", "layers", "attention", *_OUTPUTS} | _DROPOUT
_ENCODER = {"embed_tokens", "rnn", "lstm"} | _DROPOUT
_ATTENTION = {  # parts of an attention -> the weights that states go through, and along which axis
    ("input_proj", "output_proj"): (("input_proj", 0), ("input_proj", 1), ("output_proj", 1)),
    ("output_proj", "query_proj"): (("query_proj", 0), ("query_proj", 1), ("output_proj", 1)),
    ("context_proj", "output_proj", "query_proj", "v"): (("context_proj", 1), ("query_proj", 1), ("output_proj", 1)),
}


_GATES = {nn.LSTM: 4, nn.GRU: 3, nn.LSTMCell: 4, nn.GRUCell: 3}


def hidden_units(model: nn.Module) -> Vectors:
    """Hidden units of all layers whose state begins at zero, or where another layer's units begin.

    Without any input, such a unit stays at zero. Of layers whose readers are not all known, those that are in the
    same module count. Units are masked and not cut, as fairseq's modules have one size for all their layers.

    Args:
        model: ``nn.Module``.

    Yields:
        (list of (entry name, :class:`~fairseq_prune.pruning.surgery.table.Owner`),
        :class:`~fairseq_prune.pruning.surgery.structure.Coupled`).
    """
    known: set[str] = set()
    for rows, vector in known_units(model):
        known.update(entry for entry, owner in rows if owner.axis == 0)
        yield rows, vector
    receives_state = any(name.startswith("encoder.") for name, _ in model.named_modules())
    for name, module in model.named_modules():
        kind = next((kind for kind in _GATES if isinstance(module, kind)), None)
        if kind is None or (receives_state and kind in (nn.LSTMCell, nn.GRUCell)):
            continue
        for part in _parts(module):
            if f"{name}.weight_hh{part}" not in known:
                yield _alone(f"{name}.", module, part, torch.arange(module.hidden_size).repeat(_GATES[kind]))


def known_units(model: nn.Module) -> Vectors:
    """Hidden units whose readers are all known, a vector for each layer and direction; as :func:`hidden_units`."""
    sides, values = _sides(model), entries(model)
    if not sides or not all(cell.format(part) in values for cell in _cells(sides) for part in _WEIGHTS):
        return
    top = [(entry, axis) for entry, axis in _top(model) if entry in values]
    layers = len(sides[0])
    for layer in range(layers if top else layers - 1):
        above = top if layer == layers - 1 else _inputs(sides, layer + 1)
        for direction in range(len(sides[0][layer])):
            yield _units(sides, layer, direction, above, values)


def _parts(module):
    """What the names of one layer's tensors end in: ``_l0``, ``_l0_reverse``; nothing for cells."""
    weights = (re.fullmatch(r"weight_hh(.*)", name) for name, _ in module.named_parameters(recurse=False))
    return [match[1] for match in weights if match]


def _alone(prefix, module, part, units):
    """Rows of all gates, columns of the recurrent weight, columns of the next layer's input."""
    name, width = f"{prefix}weight_hh{part}", module.hidden_size
    own = [f"{kind}_{side}{part}" for kind in ("weight", "bias") for side in ("ih", "hh")]
    rows = [(prefix + entry, Owner(0, name, units)) for entry in own if hasattr(module, entry)]
    rows.append((name, Owner(1, name)))
    layer = re.fullmatch(r"_l(\d+)(_reverse)?", part)
    nexts = [f"weight_ih_l{int(layer[1]) + 1}{direction}" for direction in ("", "_reverse")] if layer else []
    above = [entry for entry in nexts if hasattr(module, entry)]
    for entry in above:
        columns = torch.full((getattr(module, entry).shape[1],), -1)
        start = width if part.endswith("_reverse") else 0
        columns[start : start + width] = torch.arange(width)
        rows.append((prefix + entry, Owner(1, name, columns)))
    writers = tuple(f"{prefix}weight_{side}{part}" for side in ("ih", "hh"))
    readers = (name, *(prefix + entry for entry in above))
    return rows, Coupled(name, "hidden", width, writers, readers, False)


def _units(sides, layer, direction, above, values):
    """One direction's units, of the encoder and of the decoder; ``above``: (entry, axis) of what reads the states."""
    directions, name = len(sides[0][layer]), sides[0][layer][direction].format("weight_hh")
    alone = torch.arange(values[name].shape[1])
    beside = torch.full((directions * len(alone),), -1)  # the state of both directions
    beside[direction * len(alone) : (direction + 1) * len(alone)] = alone
    rows = [(entry, axis, beside) for entry, axis in above]
    for side in sides:
        cell, units = (side[layer][direction], alone) if len(side[layer]) > 1 else (side[layer][0], beside)
        rows += [(cell.format(part), 0, units) for part in (*_WEIGHTS, "bias_ih", "bias_hh")]
        rows.append((cell.format("weight_hh"), 1, units))
    rows = [(entry, axis, units) for entry, axis, units in rows if entry in values]
    sizes = {(entry, axis): values[entry].shape[axis] // len(units) for entry, axis, units in rows}
    owners = [(entry, Owner(axis, name, units.repeat(sizes[entry, axis]))) for entry, axis, units in rows]
    writes = (entry for entry, axis, _ in rows if axis == 0 and values[entry].dim() > 1)
    reads = (entry for entry, axis, _ in rows if axis == 1)
    return owners, Coupled(name, "hidden", len(alone), tuple(writes), tuple(reads), False)


def _sides(model):
    """Cells of the encoder, if there is one, and of the decoder; none where something else may read their states.

    Returns:
        list of sides; of each a list of layers, of each a list of directions, of each a pattern of entry names.
    """
    parts = dict(model.named_children())
    if "decoder" not in parts or parts.keys() - {"encoder", "decoder"} or getattr(parts["decoder"], "residuals", False):
        return []
    if _names(parts["decoder"]) - _DECODER or ("encoder" in parts and _names(parts["encoder"]) - _ENCODER):
        return []
    sides = [_layers(name, parts[name]) for name in ("encoder", "decoder") if name in parts]
    alike = len({len(side) for side in sides}) == 1
    return sides if alike and all(sides) and len(sides[-1][0]) == 1 else []


def _names(module):
    return {name for name, _ in module.named_children()}


def _layers(name, side):
    for part, rnn in side.named_children():
        if isinstance(rnn, nn.RNNBase) and not rnn.proj_size:
            ends = ("", "_reverse")[: 1 + rnn.bidirectional]
            return [[f"{name}.{part}.{{}}_l{layer}{end}" for end in ends] for layer in range(rnn.num_layers)]
    cells = getattr(side, "layers", ())
    cells = cells if all(isinstance(cell, nn.RNNCellBase) for cell in cells) else ()
    return [[f"{name}.layers.{layer}.{{}}"] for layer in range(len(cells))]


def _inputs(sides, layer):
    """(entry, axis) of what a layer reads of the layer below."""
    return [(cell.format("weight_ih"), 1) for side in sides for cell in side[layer]]


def _cells(sides):
    return [cell for side in sides for layer in side for cell in layer]


def _top(model):
    """(entry, axis) of what reads the last layer; none if that is not known."""
    attention = getattr(model.decoder, "attention", None)
    if attention is not None:
        parts = _ATTENTION.get(tuple(sorted(_names(attention))), ())
        return [(f"decoder.attention.{part}.weight", axis) for part, axis in parts]
    if hasattr(model, "encoder"):  # fairseq's decoder then feeds the state to the first layer
        return []
    return [(f"decoder.{name}.weight", 1) for name in _OUTPUTS if hasattr(model.decoder, name)][:1]
