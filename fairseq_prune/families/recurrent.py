"""The hidden units of recurrent models, with all that reads them: layers above, the decoder, attention, output.

The state that an encoder hands on makes the units of a decoder's layer the same as those of the encoder's layer
beside it. Only models of known parts are taken; any other module could read the states.
"""

import torch
from torch import nn

from ..pruning.surgery.cut import entries
from ..pruning.surgery.structure import Coupled
from ..pruning.surgery.table import Owner

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


def hidden_units(model):
    """Units of the recurrent layers of fairseq's LSTM models and ours, a vector for each layer and direction.

    Args:
        model: ``nn.Module``.

    Yields:
        (list of (entry name, :class:`~..surgery.table.Owner`), :class:`~..surgery.structure.Coupled`).
    """
    sides, values = _sides(model), entries(model)
    if not sides or not all(cell.format(part) in values for cell in _cells(sides) for part in _WEIGHTS):
        return
    top = [(entry, axis) for entry, axis in _top(model) if entry in values]
    layers = len(sides[0])
    for layer in range(layers if top else layers - 1):
        above = top if layer == layers - 1 else _inputs(sides, layer + 1)
        for direction in range(len(sides[0][layer])):
            yield _units(sides, layer, direction, above, values)


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
    return owners, Coupled(name, "state", len(alone), tuple(writes), tuple(reads), False)


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
