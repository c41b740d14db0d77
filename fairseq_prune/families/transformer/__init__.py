"""Transformers: neurons, heads and dimensions can be cut, with connectivity all widths; some can be permuted."""

from collections.abc import Iterator

from torch import nn

from ..family import FAMILIES, Family
from .costs import COSTS
from .stacks import options, stacks
from .units import dimensions, heads, neurons, widths
from .values import value_dims


def _units(model: nn.Module) -> Iterator:
    yield from neurons(model)
    yield from heads(model)
    yield from dimensions(model)
    yield from widths(model)


def _permutable(model: nn.Module) -> Iterator:
    yield from neurons(model)
    yield from value_dims(model)


FAMILIES.add("transformer")(Family(_units, _permutable, COSTS, options, stacks))
