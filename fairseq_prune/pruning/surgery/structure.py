"""Coupled units of any model family: which slices of which tensors are removed together."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

import torch
from torch import Tensor

from ..masks import Masks
from .table import Owner, Shapes, Table, owned_elements

AXES = {"writers": 0, "readers": 1}  # of the weights, along which a unit has its slices


@dataclass(frozen=True)
class Coupled:
    """A vector of units, each of which owns slices of several tensors.

    Args:
        name: of the layer that writes it first, or of the vector of their multipliers (connectivity).
        kind: ``"channel"``, ``"neuron"``, ``"head"``, ``"hidden"``; of Transformers also ``"residual"`` (width),
            ``"qk"`` and ``"vo"`` (dimensions of queries and keys, of values, in heads).
        length: units (count).
        writers: names of the weights whose slices produce the units, in the model's order.
        readers: names of the weights whose slices take them in.
        cuts: False if units can only be masked.
        heads: rankings that the units are split into, of each of which equally many are removed (count): unit
            ``head * (length / heads) + j``.
        alike: a name that vectors share which have to keep the same part of their units when these are cut, as the
            layers of a module that has one size for all; "" for vectors that are cut alone.
        written: axis of the writers along which the units lie: 0 for rows, 1 where columns of a matrix write them, as
            the dimensions of an embedding.
        normalised: a layer norm takes their statistics together, so a unit that nobody reads matters, too.
    """

    name: str
    kind: str
    length: int
    writers: tuple[str, ...] = ()
    readers: tuple[str, ...] = ()
    cuts: bool = True
    heads: int = 1
    alike: str = ""
    written: int = 0
    normalised: bool = False


class Multipliers(Protocol):
    """The multipliers of a vector's units (connectivity).

    Attributes:
        vector: float [length].
    """

    vector: torch.Tensor

    def shrink(self, units: Tensor, value: float) -> None:
        """Set the multipliers of some units, bool [length], to a value below 1."""

    def refresh(self) -> None:
        """Call it after changing or cutting the vector in any other way."""


@dataclass(frozen=True)
class Structure:
    """All coupled units of a model.

    Args:
        table: dict of entry name -> tuple of :class:`~.table.Owner`; all that is removed with a unit.
        vectors: dict of vector name -> :class:`Coupled`.
        connectivity: dict of vector name -> the multipliers of its units, where the model has them.
        shapes: dict of parameter name -> shape before any cut; of models with connectivity.
    """

    table: Table
    vectors: dict[str, Coupled]
    connectivity: Mapping[str, Multipliers] = field(default_factory=dict)
    shapes: Shapes = field(default_factory=dict)

    def on(self, device: torch.device) -> "Structure":
        """This structure with the indices of its table on a device."""
        return replace(self, table={entry: tuple(o.on(device) for o in owners) for entry, owners in self.table.items()})

    def slices(self, vector: str, side: str) -> list[tuple[str, Owner]]:
        """The slices that units of a vector own of the weights on one side.

        Args:
            vector: its name.
            side: ``"writers"`` or ``"readers"``.

        Returns:
            list of (weight name, :class:`~.table.Owner`).
        """
        units = self.vectors[vector]
        axis = units.written if side == "writers" else AXES[side]
        found = ((entry, owner) for entry in getattr(units, side) for owner in self.table[entry])
        return [(entry, owner) for entry, owner in found if owner.vector == vector and owner.axis == axis]

    def producing(self, vector: str) -> list[tuple[str, Owner]]:
        """All that makes units other than zero, biases included: list of (entry name, :class:`~.table.Owner`)."""
        rows = AXES["writers"]
        return self.slices(vector, "writers") if self.vectors[vector].written != rows else self.owned(vector, rows)

    def owned(self, vector: str, axis: int) -> list[tuple[str, Owner]]:
        """All that units of a vector own along an axis: list of (entry name, :class:`~.table.Owner`)."""
        return [(e, o) for e, owners in self.table.items() for o in owners if (o.vector, o.axis) == (vector, axis)]


def unit_rows(structure: Structure, vector: str, side: str, values: Callable[[str], Tensor]) -> Tensor:
    """The slices of all units as rows of a matrix.

    Args:
        structure: :class:`Structure`.
        vector: its name.
        side: ``"writers"`` or ``"readers"``.
        values: function of a weight's name -> tensor of the shape of that weight.

    Returns:
        [units, elements of the slices of each]; of one slice it may be a view.
    """
    slices = []
    for entry, owner in structure.slices(vector, side):
        value = owner.by_unit(owner.first(values(entry)))
        slices.append(value.reshape(structure.vectors[vector].length, -1))
    return slices[0] if len(slices) == 1 else torch.cat(slices, 1)


def masks_without(structure: Structure, shapes: Shapes, keep: Mapping[str, Tensor]) -> Masks:
    """Masks that zero all that the removed units own.

    Args:
        structure: :class:`Structure`.
        shapes: dict of parameter name -> shape; entries of the table that are not in it are buffers.
        keep: dict of vector name -> bool tensor [length], True = keep.

    Returns:
        dict of parameter name -> bool mask; parameters that lose nothing are not in it.
    """
    removed = {vector: ~units for vector, units in keep.items() if not units.all()}
    masks = {}
    for name, owners in structure.table.items():
        owned = owned_elements(shapes[name], owners, removed) if name in shapes else None
        if owned is not None:
            masks[name] = ~owned
    return masks


def can_be_cut(vectors: Mapping[str, Coupled], keep: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Find which of the removed units can be cut out: where vectors have to stay alike, the same part of each.

    Args:
        vectors: dict of vector name -> :class:`Coupled`.
        keep: dict of vector name -> bool [length], True = keep; vectors not in it lose nothing.

    Returns:
        dict as ``keep``, of vectors that can be cut; where fewer can be cut than are removed, these are the first.
    """
    groups: dict[str, list[Coupled]] = {}
    for vector in vectors.values():
        groups.setdefault(vector.alike or vector.name, []).append(vector)
    cut = {}
    for members in groups.values():
        if all(v.cuts and v.name in keep for v in members):
            parts = {v.name: v.length // min(v.length for v in members) for v in members}
            count = min(int((~keep[name]).sum()) // part for name, part in parts.items())
            cut.update({name: ~first(~keep[name], count * part) for name, part in parts.items()})
    return cut


def first(units: Tensor, count: int) -> Tensor:
    """The first ``count`` of some units, bool [length]."""
    return units & (units.cumsum(0) <= count)


def evenly(units: Tensor, heads: int, stay: int = 0) -> Tensor:
    """Choose among the units that can be removed the same number in every head, the first ones.

    Args:
        units: bool [heads * d], head-major; True = can be removed.
        heads: of the attention block; 1 for other units (count).
        stay: of every head at least, removable or not (count). Pruning further handles no empty tensors.

    Returns:
        bool like ``units``, True = removed.
    """
    rows = units.view(heads, -1)
    count = rows.sum(1).min().clamp(max=rows.shape[1] - stay)
    return (rows & (rows.cumsum(1) <= count)).view(-1)
