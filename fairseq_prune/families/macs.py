"""Which family's cost function a model has, and what each tensor adds to the cost."""

import re
from collections.abc import Mapping, Sequence
from math import prod

from ..pruning.budget.cost import Term
from .cost import OUTPUT, Cost
from .family import costs


def find_cost(shapes: Mapping[str, Sequence[int]]) -> Cost | None:
    """Recognise what a model multiplies by its parameter names.

    Args:
        shapes: dict of names to shapes, of the parameters of 2 or more axes.

    Returns:
        The first :class:`~.cost.Cost` whose rows cover every name, or None.
    """
    for cost in costs():
        needed = all(any(re.fullmatch(need, name) for name in shapes) for need in cost.needs)
        covered = (any(re.fullmatch(row.pattern, name) for row in cost.products) for name in shapes)
        if needed and all(covered):
            return cost
    return None


def terms_of(cost: Cost, shapes: Mapping[str, Sequence[int]], source: int, target: int) -> list[Term]:
    """The multiply-accumulates of one sentence (or sentence pair), tensor by tensor.

    Args:
        cost: of the model, from :func:`find_cost`.
        shapes: as there.
        source: length of the source (count).
        target: length of the target (count).

    Returns:
        list of :class:`~fairseq_prune.pruning.budget.cost.Term`; a tensor may come several times.
    """
    layers = {name.split(".")[2] for name in shapes if name.startswith("decoder.layers.")}
    values = {"S": source, "T": target, "L": len(layers), "P": target * (target + 1) // 2}
    terms = [
        Term(name, prod(values[letter] for letter in row.positions), row.axis)
        for row in cost.products
        if row.positions is not None
        for name in shapes
        if re.fullmatch(row.pattern, name)
    ]
    if cost.tied_output and cost.tied_output in shapes and not any(re.fullmatch(OUTPUT, name) for name in shapes):
        terms.append(Term(cost.tied_output, target))
    return terms
