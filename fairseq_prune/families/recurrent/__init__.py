"""Recurrent language and translation models, fairseq's and ours: hidden units and embeddings' dimensions are cut."""

from collections.abc import Iterator

from torch import nn

from ..family import FAMILIES, Family
from . import sizes  # noqa: F401
from .costs import COSTS
from .units import embedding_units, hidden_units, known_options, known_units


def _units(model: nn.Module) -> Iterator:
    yield from hidden_units(model)
    yield from embedding_units(model)


FAMILIES.add("recurrent")(Family(_units, known_units, COSTS, known_options))
