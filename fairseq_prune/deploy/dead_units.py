"""Units of a Transformer that can be removed without changing what it computes in eval mode.

All criteria are exact zeros, of weights or of connectivity; masks are not asked.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from ..families.transformer.table import kind_of
from ..pruning.registry import Registry

State = Mapping[str, torch.Tensor]  # of a model
Activation = Callable[[torch.Tensor], torch.Tensor]
FINDERS: Registry[Callable[[State, str, Activation], "Dead | None"]] = Registry("kind of vector")


@dataclass(frozen=True)
class Dead:
    """Which units of one vector can be removed.

    Args:
        units: bool tensor [length], True = can be removed.
        constant: what each of them hands on for every input, float64 tensor [length]; None: nothing.
        reader: prefix of the linear layer [out, length] that it is handed to.
    """

    units: torch.Tensor
    constant: torch.Tensor | None = None
    reader: str | None = None


def find_dead(state: State, vector: str, activation: Activation) -> Dead | None:
    """Find the units of one vector that can be removed.

    Args:
        state: state dict.
        vector: its name, e.g. ``"encoder.layers.0.fc_c"``; the state need not have connectivity.
        activation: function of the feed-forward blocks, float64 tensor -> float64 tensor.

    Returns:
        :class:`Dead`, or None if the vector's layers are not there or something lies between them.
    """
    return FINDERS[kind_of(vector)](state, vector, activation)


@FINDERS.add("residual")
def dead_dimensions(state: State, vector: str, activation: Activation) -> Dead | None:
    """Dimensions of a residual stream: those with connectivity 0. As :func:`find_dead`."""
    return Dead(state[vector] == 0) if vector in state else None


@FINDERS.add("neuron")
def dead_neurons(state: State, vector: str, activation: Activation) -> Dead | None:
    """Neurons without input, whose output is a constant, or whom nobody reads. As :func:`find_dead`."""
    layer = vector.removesuffix(".fc_c")
    if f"{layer}.ffn_layernorm.weight" in state:
        return None
    return _between(state, vector, f"{layer}.fc1", f"{layer}.fc2", activation)


@FINDERS.add("vo")
def dead_values(state: State, vector: str, activation: Activation) -> Dead | None:
    """Value dimensions without input or readers. As :func:`find_dead`.

    A dimension without input has its bias as value; weighted by attention probabilities, which sum
    to 1, it stays what it is. (Not under attention dropout, so in training this holds on average.)
    """
    block = vector.removesuffix("_vo_c")
    return _between(state, vector, f"{block}.v_proj", f"{block}.out_proj", lambda bias: bias)


@FINDERS.add("head")
def dead_heads(state: State, vector: str, activation: Activation) -> Dead | None:
    """Heads of which no value dimension is left. As :func:`find_dead`; ``constant`` is that of their dimensions."""
    values = dead_values(state, f"{vector}_vo_c", activation)
    if values is None:
        return None
    units = values.units.view(len(state[f"{vector}.heads"]), -1).all(1)
    return Dead(units, values.constant, values.reader)


@FINDERS.add("qk")
def dead_queries(state: State, vector: str, activation: Activation) -> Dead | None:
    """Query/key dimensions that add nothing to the scores, or the same for every key. As :func:`find_dead`.

    A key without weights is its bias, the same at all positions: the query times it shifts all
    scores of a query alike, which softmax ignores. A query without weights is silent only if it has
    no bias either.
    """
    block = vector.removesuffix("_qk_c")
    if not _has(state, f"{block}.q_proj", f"{block}.k_proj"):
        return None
    silent = _empty_rows(state, f"{block}.q_proj") & (state[f"{block}.q_proj.bias"] == 0)
    return Dead(silent | _empty_rows(state, f"{block}.k_proj") | (_connectivity(state, vector, silent) == 0))


def _between(state, vector, writer, reader, function):
    """Units that one linear layer writes and another reads."""
    if not _has(state, writer, reader):
        return None
    without_input = _empty_rows(state, writer)
    c = _connectivity(state, vector, without_input)
    unread = (state[f"{reader}.weight"] == 0).all(0) | (c == 0)
    constant = torch.where(without_input, function(state[f"{writer}.bias"].double()) * c, 0.0)
    return Dead(without_input | unread, constant, reader)


def _empty_rows(state, layer):
    return (state[f"{layer}.weight"] == 0).all(1)


def _connectivity(state, vector, units):
    return state[vector].double() if vector in state else torch.ones(len(units), dtype=torch.float64)


def _has(state, *layers):
    return all(f"{layer}.{part}" in state for layer in layers for part in ("weight", "bias"))
