"""What of a fairseq model may be permuted: feed-forward neurons, value dimensions, hidden units."""

from ..pruning.surgery.structure import Structure
from .attention import value_dims
from .recurrent import hidden_units
from .units import structure_of


def permutable(model):
    """Find the coupled units whose order does not change what a model computes.

    Args:
        model: ``nn.Module``.

    Returns:
        :class:`~..surgery.structure.Structure` with vectors of the kinds ``"neuron"``, ``"value"`` (one head's value
        dimensions) and ``"state"`` (hidden units); of other models (images) one without vectors.
    """
    units = structure_of(model)
    vectors = {name: vector for name, vector in units.vectors.items() if vector.kind == "neuron"}
    owned = {entry: [owner for owner in owners if owner.vector in vectors] for entry, owners in units.table.items()}
    for rows, vector in (*value_dims(model), *hidden_units(model)):
        vectors[vector.name] = vector
        for entry, owner in rows:
            owned.setdefault(entry, []).append(owner)
    return Structure({entry: tuple(owners) for entry, owners in owned.items() if owners}, vectors)
