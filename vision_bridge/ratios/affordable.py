"""The fraction of all layers that leaves a model of a given cost."""

import math
from collections.abc import Mapping

from fairseq_prune.pruning.budget.counting import ROUNDINGS
from fairseq_prune.pruning.surgery.structure import Structure
from fairseq_prune.pruning.surgery.table import Shapes

STEPS = 40  # of bisection


def affordable_fraction(
    option: str, left: float, structure: Structure, shapes: Shapes, positions: Mapping[str, int], rounding: str
) -> float:
    """The smallest uniform fraction of units after whose removal a model costs at most so much.

    Args:
        option: that asks for it, for messages.
        left: fraction of the cost that may be left, in (0, 1).
        structure: :class:`~fairseq_prune.pruning.surgery.structure.Structure`, of the vectors that lose units.
        shapes: dict of parameter name -> shape, of all that counts.
        positions: dict of parameter name -> how often each element counts.
        rounding: from a fraction to a count of units, name in the table of roundings.

    Returns:
        A fraction in [0, 1).

    Raises:
        ValueError: even with one unit in each vector it would cost more.
    """
    total = _cost(structure, shapes, positions, {})

    def share(fraction):
        removed = {}
        for name, v in structure.vectors.items():
            of_each = v.length // v.heads
            removed[name] = v.heads * min(ROUNDINGS[rounding](fraction, of_each), of_each - 1)
        return _cost(structure, shapes, positions, removed) / total

    low, high = 0.0, 1 - 2.0**-STEPS
    if (least := share(high)) > left:
        raise ValueError(f"{option} {left}: one unit of each layer that can lose some stays, so {least:.4f} is left")
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if share(middle) <= left else (middle, high)
    return high


def _cost(structure, shapes, positions, removed):
    """Cost of all parameters, once so many units of each vector (dict of name -> count) are gone."""
    cost = 0
    for name, times in positions.items():
        shape = list(shapes[name])
        for owner in structure.table.get(name, ()):
            if owner.vector in removed:
                owned = shapes[name][owner.axis] if owner.elements is None else int((owner.elements >= 0).sum())
                shape[owner.axis] -= owned * removed[owner.vector] // structure.vectors[owner.vector].length
        cost += math.prod(shape) * times
    return cost
