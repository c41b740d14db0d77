"""The hidden units of recurrent models, with all that reads them: layers above, the decoder, attention, output.

All readers are known only of models whose every part is known, as any other module could read the states.
"""

import re

import torch
from torch import nn

from ...pruning.surgery.cut import entries
from ...pruning.surgery.structure import Coupled
from ...pruning.surgery.table import Owner
from ..family import Vectors
from .options import options
from .wiring import embeddings, wiring

_DROPOUT = {"dropout", "dropout_module", "dropout_in_module", "dropout_out_module"}
_BRIDGE = {"encoder_hidden_proj", "encoder_cell_proj"}
_OUTPUTS = {"additional_fc", "fc_out", "output_projection", "adaptive_softmax"}
_DECODER = {"embed_tokens", "lstm", "layers", "attention"} | _OUTPUTS | _DROPOUT | _BRIDGE
_ENCODER = {"embed_tokens", "rnn", "lstm"} | _DROPOUT
_GATES = {nn.LSTM: 4, nn.GRU: 3, nn.RNN: 1, nn.LSTMCell: 4, nn.GRUCell: 3, nn.RNNCell: 1}


def hidden_units(model: nn.Module) -> Vectors:
    """Hidden units of all layers whose state begins at zero, or where another layer's units begin.

    Without any input, such a unit stays at zero. Of layers whose readers are not all known, those that are in the
    same module count; those units are masked and not cut.

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
        if kind is None or (receives_state and issubclass(kind, nn.RNNCellBase)):
            continue
        for part in _parts(module):
            if f"{name}.weight_hh{part}" not in known:
                yield _alone(f"{name}.", module, part, torch.arange(module.hidden_size).repeat(_GATES[kind]))


def known_units(model: nn.Module) -> Vectors:
    """Hidden units whose readers are all known, as :func:`~.wiring.wiring`."""
    return wiring(entries(model)) if _is_known(model) else ()


def embedding_units(model: nn.Module) -> Vectors:
    """Dimensions of embeddings whose readers are all known, as :func:`~.wiring.embeddings`."""
    return embeddings(entries(model)) if _is_known(model) and any(known_units(model)) else ()


def known_options(model: nn.Module) -> dict[str, int]:
    """The sizes of a model all of whose parts are known, as :func:`~.options.options`."""
    return options(entries(model)) if _is_known(model) else {}


def _is_known(model):
    """True if every part is known: nothing else may read the states."""
    parts = dict(model.named_children())
    projects = any(getattr(module, "proj_size", 0) for module in model.modules() if isinstance(module, nn.RNNBase))
    if "decoder" not in parts or parts.keys() - {"encoder", "decoder"} or projects:
        return False
    return not (_names(parts["decoder"]) - _DECODER or ("encoder" in parts and _names(parts["encoder"]) - _ENCODER))


def _names(module):
    return {name for name, _ in module.named_children()}


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
