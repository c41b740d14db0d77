"""Removal tables: which axes of which tensors a vector of units owns.

Freezing, cutting weights, cutting moments and checking shapes all read the same table.
"""

import re
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Row:
    """Entries of a state dict that lose something along one axis when a unit leaves.

    Args:
        vector: name of the vector whose units they are, as a template for the pattern's groups.
        entries: regular expression that a whole entry name matches.
        axis: along which entry element i belongs to unit i.
    """

    vector: str
    entries: str
    axis: int


def build_table(rows, names, aliases=None):
    """Apply rows to the entries of one model.

    Args:
        rows: iterable of :class:`Row`.
        names: entry names of its state dict.
        aliases: dict of vector name -> vector that stands for it, where two are one.

    Returns:
        dict of entry name -> tuple of (axis, vector name). An axis of an entry has one owner.
    """
    aliases = aliases or {}
    table = {}
    for name in names:
        owners = []
        for row in rows:
            match = re.fullmatch(row.entries, name)
            if match:
                vector = match.expand(row.vector)
                owners.append((row.axis, aliases.get(vector, vector)))
        if owners:
            table[name] = tuple(owners)
    return table


def entries_of(table, vector):
    """All (entry name, axis) that a vector owns, in the table's order."""
    return [(name, axis) for name, owners in table.items() for axis, owner in owners if owner == vector]


def lengths_of(table, shapes):
    """Read the vectors' lengths from tensor shapes.

    Args:
        table: from :func:`build_table`.
        shapes: dict of entry name -> shape; entries that are not in it are passed over.

    Returns:
        dict of vector name -> length (count).

    Raises:
        ValueError: two tensors of one vector disagree, so they are not of one model.
    """
    lengths, witness = {}, {}
    for name, owners in table.items():
        for axis, vector in owners if name in shapes else ():
            length = shapes[name][axis]
            if lengths.setdefault(vector, length) != length:
                raise ValueError(
                    f"{name} has {length} along axis {axis}, but {witness[vector]} has {lengths[vector]} units "
                    f"of {vector}"
                )
            witness.setdefault(vector, name)
    return lengths


def owned_elements(shape, owners, units):
    """The elements of one tensor that belong to any of the given units.

    Args:
        shape: of the tensor.
        owners: its (axis, vector name) pairs.
        units: dict of vector name -> bool tensor [length], True = the units meant.

    Returns:
        bool tensor of ``shape``, or None if none of its vectors is among them.
    """
    owned = None
    for axis, vector in owners:
        if vector in units:
            view = [-1 if a == axis else 1 for a in range(len(shape))]
            along = units[vector].view(view).expand(shape)
            owned = along if owned is None else owned | along
    return owned


def unit_norms(table, parameters, vector):
    """L2 norm of the weights that each unit of a vector owns.

    Args:
        table: from :func:`build_table`.
        parameters: dict of parameter name -> tensor.
        vector: its name.

    Returns:
        float tensor [length].
    """
    squares = 0
    for name, axis in entries_of(table, vector):
        if name in parameters:
            others = [a for a in range(parameters[name].dim()) if a != axis]
            values = parameters[name].detach().float().square()
            squares = squares + (values.sum(others) if others else values)
    return torch.as_tensor(squares).sqrt()
