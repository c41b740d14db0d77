"""The widths of a cut model, read from the shapes of its tensors."""

import torch

from .structure import Structure
from .table import Owner, Shapes


def arriving_shapes(structure: Structure, whole: Shapes, arriving: Shapes) -> dict[str, torch.Size]:
    """Shapes that a model's tensors need for weights of cut vectors.

    Args:
        structure: :class:`~.structure.Structure` of the model before any cut.
        whole: dict of entry name -> its shape there.
        arriving: dict of entry name -> shape of what comes.

    Returns:
        dict of entry name -> shape, of all that vectors own which can be cut and of which all tensors agree.
    """
    lengths = _lengths(structure, whole, arriving)
    fitting = {vector: length for vector, length in lengths.items() if 0 < length <= structure.vectors[vector].length}
    shapes = {entry: _narrowed(structure, whole[entry], entry, fitting) for entry in structure.table if entry in whole}
    for entry, shape in shapes.items():
        if arriving.get(entry) != shape:
            for owner in structure.table[entry]:
                fitting.pop(owner.vector, None)
    owned = {entry for entry in shapes if any(owner.vector in fitting for owner in structure.table[entry])}
    return {entry: _narrowed(structure, whole[entry], entry, fitting) for entry in owned}


def _lengths(structure, whole, arriving):
    """Lengths of vectors that can be cut, from an axis that is theirs alone."""
    lengths = {}
    for entry, owners in structure.table.items():
        for owner in owners if entry in arriving and len(arriving[entry]) == len(whole.get(entry, ())) else ():
            vector = structure.vectors[owner.vector]
            if vector.cuts and _is_alone(owner, vector.length):
                lengths.setdefault(vector.name, arriving[entry][owner.axis])
    return lengths


def _is_alone(owner: Owner, length: int) -> bool:
    """True if unit i is element i of the axis, and nothing else is there."""
    return owner.elements is None or torch.equal(owner.elements, torch.arange(length))


def _narrowed(structure, shape, entry, lengths):
    """A shape less the elements of the units that vectors have lost.

    A vector that has an axis alone says how long that is, also where units of another own several of its units (heads).
    """
    sizes, owners = list(shape), [owner for owner in structure.table[entry] if owner.vector in lengths]
    alone = {o.axis: lengths[o.vector] for o in owners if _is_alone(o, structure.vectors[o.vector].length)}
    for owner in owners:
        if owner.axis not in alone:
            whole = structure.vectors[owner.vector].length
            owned = shape[owner.axis] if owner.elements is None else int((owner.elements >= 0).sum())
            sizes[owner.axis] -= owned // whole * (whole - lengths[owner.vector])
    return torch.Size(alone.get(axis, size) for axis, size in enumerate(sizes))
