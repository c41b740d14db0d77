"""Removal tables: which axes of which tensors a vector of units owns.

Freezing, cutting weights, cutting moments and checking shapes all read the same table.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor


class Owner(NamedTuple):
    """The vector of units that one axis of a tensor belongs to, in whole or in part.

    Args:
        axis: of the tensor.
        vector: name of the vector.
        elements: int64 tensor [length of the axis], the unit that each element belongs to, -1 for none; None:
            element i belongs to unit i. (Packed gates, flattened feature maps, concatenated channels.)
        order: int64 tensor, the elements that belong to units, by unit; :meth:`on` finds it once.
        blocks: of the tensor's rows, as many as there are groups in a convolution: the axis continues from each to the
            next, so its elements are those of all blocks (count).
    """

    axis: int
    vector: str
    elements: torch.Tensor | None = None
    order: torch.Tensor | None = None
    blocks: int = 1

    def first(self, tensor: Tensor) -> Tensor:
        """The tensor with the axis that is owned as its first, [elements, ...]; often a view."""
        if self.blocks == 1:
            return tensor.movedim(self.axis, 0)
        return tensor.unflatten(0, (self.blocks, -1)).movedim(self.axis + 1, 1).flatten(0, 1)

    def over(self, units: Tensor, shape: torch.Size, otherwise: bool | float) -> Tensor:
        """As :meth:`along`, in a form that broadcasts to a tensor's shape."""
        along = self.along(units, otherwise)
        ones = [1] * (len(shape) - self.axis - 1)
        if self.blocks == 1:
            return along.view(*[1] * self.axis, -1, *ones)
        return along.view(self.blocks, shape[self.axis], *ones).repeat_interleave(shape[0] // self.blocks, 0)

    def on(self, device: torch.device) -> "Owner":
        """This owner with its indices on a device, so that using them there waits for nothing."""
        if self.elements is None:
            return self
        order = self.elements.argsort(stable=True)[int((self.elements < 0).sum()) :]
        return self._replace(elements=self.elements.to(device), order=order.to(device))

    def by_unit(self, values: torch.Tensor) -> torch.Tensor:
        """The elements that belong to units, ordered by unit, of a tensor [length of the axis, ...]."""
        if self.elements is None:
            return values
        return values[(self if self.order is not None else self.on(values.device)).order]

    def along(self, units: Tensor, otherwise: bool | float) -> Tensor:
        """Spread values of units, [units], over the axis; elements that belong to none get ``otherwise``."""
        if self.elements is None:
            return units
        if self.order is not None and len(self.order) == len(self.elements):
            return units[self.elements]
        elements = self.elements.to(units.device)
        return torch.where(elements < 0, otherwise, units[elements.clamp(min=0)])

    def any_of(self, values: torch.Tensor, length: int) -> torch.Tensor:
        """Undo :meth:`along`: units, bool [length], of which any element of the axis, bool, is True."""
        if self.elements is None:
            return values
        elements = self.elements.to(values.device)
        units = torch.zeros(length, dtype=torch.bool, device=values.device)
        return units.index_fill_(0, elements[values & (elements >= 0)], True)


Table = dict[str, tuple[Owner, ...]]  # entry name of a state dict -> who owns its axes
Shapes = Mapping[str, torch.Size]  # of tensors, by their names


@dataclass(frozen=True)
class Owns:
    """Entries of a state dict that lose something along one axis when a unit is removed.

    Args:
        vector: name of the vector whose units they are, as a template for the pattern's groups.
        entries: regular expression that a whole entry name matches.
        axis: along which entry element i belongs to unit i.
    """

    vector: str
    entries: str
    axis: int


def build_table(rows: Iterable[Owns], names: Iterable[str], aliases: Mapping[str, str] | None = None) -> Table:
    """Apply rows to the entries of one model.

    Args:
        rows: iterable of :class:`Owns`.
        names: entry names of its state dict.
        aliases: dict of vector name -> vector that stands for it, where two are one.

    Returns:
        dict of entry name -> tuple of :class:`Owner`. An axis of an entry has one owner.
    """
    aliases = aliases or {}
    table = {}
    for name in names:
        owners = []
        for row in rows:
            match = re.fullmatch(row.entries, name)
            if match:
                vector = match.expand(row.vector)
                owners.append(Owner(row.axis, aliases.get(vector, vector)))
        if owners:
            table[name] = tuple(owners)
    return table


def entries_of(table: Table, vector: str) -> list[tuple[str, int]]:
    """All (entry name, axis) that a vector owns, in the table's order."""
    return [(name, owner.axis) for name, owners in table.items() for owner in owners if owner.vector == vector]


def lengths_of(table: Table, shapes: Shapes) -> dict[str, int]:
    """Read the vectors' lengths from tensor shapes.

    Args:
        table: from :func:`build_table`.
        shapes: dict of entry name -> shape; entries that are not in it are passed over.

    Returns:
        dict of vector name -> length (count).

    Raises:
        ValueError: two tensors of one vector disagree, so they are not of one model.
    """
    lengths: dict[str, int] = {}
    witness: dict[str, str] = {}
    for name, owners in table.items():
        for axis, vector, *_ in owners if name in shapes else ():
            length = shapes[name][axis]
            if lengths.setdefault(vector, length) != length:
                raise ValueError(
                    f"{name} has {length} along axis {axis}, but {witness[vector]} has {lengths[vector]} units "
                    f"of {vector}"
                )
            witness.setdefault(vector, name)
    return lengths


def owned_elements(shape: torch.Size, owners: Iterable[Owner], units: Mapping[str, Tensor]) -> Tensor | None:
    """The elements of one tensor that belong to any of the given units.

    Args:
        shape: of the tensor.
        owners: its :class:`Owner` s.
        units: dict of vector name -> bool tensor [length], True = the units meant.

    Returns:
        bool tensor of ``shape``, or None if none of its vectors is among them.
    """
    owned = None
    for owner in owners:
        if owner.vector in units:
            along = owner.over(units[owner.vector], shape, otherwise=False).expand(shape)
            owned = along if owned is None else owned | along
    return owned


def shortest_axis(shape: torch.Size, owners: Iterable[Owner], units: Mapping[str, Tensor]) -> tuple[int, Tensor] | None:
    """Along which axis least of a tensor stays once units are removed.

    Args:
        shape: of the tensor.
        owners: its :class:`Owner` s.
        units: dict of vector name -> bool tensor [length], True = the units meant.

    Returns:
        (axis, int64 tensor of the indices that stay along it), or None if none of its vectors is among them.
    """
    stays = {o.axis: ~o.along(units[o.vector], otherwise=False) for o in owners if o.vector in units}
    if not stays:
        return None
    axis = min(stays, key=lambda axis: int(stays[axis].sum()) / shape[axis])
    return axis, stays[axis].nonzero().flatten()


def unit_norms(table: Table, parameters: Mapping[str, Tensor], vector: str) -> Tensor:
    """L2 norm of the weights that each unit of a vector owns.

    Args:
        table: from :func:`build_table`.
        parameters: dict of parameter name -> tensor.
        vector: its name.

    Returns:
        float tensor [length].
    """
    squares = torch.tensor(0.0)
    for name, axis in entries_of(table, vector):
        if name in parameters:
            others = [a for a in range(parameters[name].dim()) if a != axis]
            values = parameters[name].detach().float().square()
            squares = squares + (values.sum(others) if others else values)
    return squares.sqrt()
