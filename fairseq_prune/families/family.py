"""The interface of a model family. A new family is a module that registers one, imported in the package."""

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from torch import nn

from ..pruning.registry import Registry
from ..pruning.surgery.depth import layer_units
from ..pruning.surgery.structure import Coupled, Structure
from ..pruning.surgery.table import Owner
from .cost import Cost

FAMILIES: Registry["Family"] = Registry("family of models")
Vectors = Iterable[tuple[list[tuple[str, Owner]], Coupled]]  # a vector of units, with all that it owns


Stacks = Iterable[tuple[str, bool]]  # name of a stack of layers, whether they can be cut out


def _none(model: nn.Module) -> Iterable:
    return ()


def _no_options(model: nn.Module) -> dict[str, int]:
    return {}


@dataclass(frozen=True)
class Family:
    """What is known of a family; what it does not have is left out.

    A model may have units of several families: each looks in it for the layers that it knows.

    Args:
        units: function of a model -> its coupled units: pairs of a list of (entry name, owner), all that is removed
            with the units of one vector, and that vector.
        permutable: the same, of units whose order does not matter: all that reads them is known.
        costs: what its architectures multiply.
        options: function of a model -> dict of option of its architecture -> value that gives the widths which the
            model has by now; empty where no options do.
        stacks: function of a model -> its stacks of layers, each of which takes and returns one hidden state, so that
            it can be left out: name of the ``nn.ModuleList``, and whether a config says how many layers it has.
    """

    units: Callable[[nn.Module], Vectors] = _none
    permutable: Callable[[nn.Module], Vectors] = _none
    costs: tuple[Cost, ...] = ()
    options: Callable[[nn.Module], dict[str, int]] = _no_options
    stacks: Callable[[nn.Module], Stacks] = _none


def structure_of(model: nn.Module) -> Structure:
    """The coupled units of a model: neurons, attention heads, hidden units, widths with connectivity, layers.

    Args:
        model: ``nn.Module``.

    Returns:
        :class:`~..pruning.surgery.structure.Structure`; without vectors where the model has none of these.
    """
    layers = (layer_units(model, name, cuts) for name, cuts in stacks_of(model).items())
    found = gather([*(family.units(model) for family in FAMILIES.values()), layers])
    connectivity, shapes = (getattr(model, name, {}) for name in ("connectivity", "original_shapes"))
    return replace(found, connectivity=connectivity, shapes=shapes)


def permutable(model: nn.Module) -> Structure:
    """The units whose order does not change what a model computes: neurons, value dimensions, hidden units.

    Arguments and result as of :func:`structure_of`.
    """
    return gather(family.permutable(model) for family in FAMILIES.values())


def options_of(model: nn.Module) -> dict[str, int]:
    """The sizes of a model by the options of its architecture, where these give its widths; they follow a cut."""
    return {option: size for family in FAMILIES.values() for option, size in family.options(model).items()}


def stacks_of(model: nn.Module) -> dict[str, bool]:
    """The stacks of layers that can be left out, dict of name -> whether they can be cut out."""
    return dict(itertools.chain.from_iterable(family.stacks(model) for family in FAMILIES.values()))


def costs() -> list[Cost]:
    """What the architectures of all families multiply."""
    return [cost for family in FAMILIES.values() for cost in family.costs]


def gather(families: Iterable[Vectors]) -> Structure:
    """A structure of all vectors that families have found."""
    table: dict[str, list[Owner]] = {}
    vectors: dict[str, Coupled] = {}
    for rows, vector in itertools.chain.from_iterable(families):
        vectors[vector.name] = vector
        for entry, owner in rows:
            table.setdefault(entry, []).append(owner)
    return Structure({entry: tuple(owners) for entry, owners in table.items()}, vectors)
