"""Transformers: neurons are cut, heads masked, with connectivity all widths cut; some may change places."""

from collections.abc import Iterator

from torch import nn

from ..family import FAMILIES, Family
from .costs import COSTS
from .units import dimensions, heads, neurons
from .values import value_dims


def _units(model: nn.Module) -> Iterator:
    yield from neurons(model)
    yield from heads(model)
    yield from dimensions(model)


def _permutable(model: nn.Module) -> Iterator:
    yield from neurons(model)
    yield from value_dims(model)


FAMILIES.add("transformer")(Family(_units, _permutable, COSTS))
