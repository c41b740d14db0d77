"""The widths that a compression rate leaves: parameters after surgery / parameters before.

Every width is multiplied by one kept fraction x, rounded to whole units. Source: SRP, whose code has the
``legacy`` form; the original states no formula anywhere else.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ..registry import Registry
from ..surgery.structure import Coupled
from ..surgery.table import Shapes, Table

BUDGETS: Registry[Callable[..., "Widths"]] = Registry("budget")


@dataclass(frozen=True)
class Widths:
    """How much of every vector stays.

    Args:
        lengths: dict of residual, qk and vo vector name -> units kept, over all heads together.
        ffn_units: units kept in all FFN vectors together.
    """

    lengths: dict[str, int]
    ffn_units: int


def count_parameters(shapes: Shapes, owners: Table, lengths: Mapping[str, int]) -> int:
    """Count the weights of a model whose owned axes have their vectors' lengths.

    Args:
        shapes: dict of parameter name -> original shape, tied parameters once.
        owners: the removal table, dict of entry name -> its :class:`~fairseq_prune.pruning.surgery.table.Owner` s;
            entries that are no parameter do not count.
        lengths: dict of vector name -> length.

    Returns:
        The exact count, int.
    """
    return _count(_terms(shapes, owners), lengths)


@BUDGETS.add("exact")
def exact(
    shapes: Shapes,
    owners: Table,
    vectors: Sequence[Coupled],
    rate: float,
    current: Mapping[str, int] | None = None,
    progress: float = 1.0,
) -> Widths:
    """Keep as much as the rate allows, counted exactly.

    The largest x in (0, 1) that fits, widths rounded half up; what is left of the budget goes to
    FFN units. How these spread over the layers is not known yet: they count as if the costliest
    layers kept theirs, so the model never exceeds the rate.

    Args:
        shapes: dict of parameter name -> original shape, tied parameters once.
        owners: the removal table; see :func:`count_parameters`.
        vectors: every :class:`~fairseq_prune.pruning.surgery.structure.Coupled` of the model.
        rate: parameters left / original parameters, in (0, 1).
        current: dict of vector name -> present length, of vectors that this stage does not change.
            Those that are not at their original length any more stay as they are, and the FFN
            units are what fits beside them; the others are for another stage to cut.
        progress: part of the way, in (0, 1]: widths are multiplied by :math:`x^{progress}`.

    Returns:
        :class:`Widths`.

    Raises:
        ValueError: rate outside (0, 1), or so low that a residual width would be 0, or that
            ``current`` leaves no room.
    """
    _check_rate(rate)
    terms = _terms(shapes, owners)
    total = _count(terms, {v.name: v.length for v in vectors})
    budget = int(rate * total)
    rest, layers = _split(terms, vectors)
    x = _largest_fraction(rest, layers, vectors, rate, total)
    settled = _settled(vectors, current)
    ffn_units = _ffn_units_within(budget, rest, layers, {**_scaled(vectors, x, _round_half_up), **settled})
    if ffn_units < 0:
        raise ValueError(
            f"--compression-rate {rate}: the widths of an earlier stage leave no room; "
            "give the rate of that stage or a higher one, e.g. 0.2"
        )
    fraction = x**progress
    if progress < 1:
        ffn_units = max(ffn_units, _round_half_up(_ffn_total(vectors), fraction))
    return Widths({**_scaled(vectors, fraction, _round_half_up), **settled}, ffn_units)


@BUDGETS.add("legacy")
def legacy(
    shapes: Shapes,
    owners: Table,
    vectors: Sequence[Coupled],
    rate: float,
    current: Mapping[str, int] | None = None,
    progress: float = 1.0,
) -> Widths:
    """The closed formula of the original, which forgets most attention biases; stays below the rate.

    Weights with two prunable axes (n1) shrink with x squared, those with one (n2) with x:
    :math:`n_1 x^2 + n_2 x = r (n_1 + n_2)`. Widths are rounded down. Arguments and result as for
    :func:`exact`, but the FFN units do not depend on ``current``.

    Raises:
        ValueError: rate outside (0, 1), or so low that a residual width would be 0; sides of
            different width or different head counts.
    """
    _check_rate(rate)
    _check_uniform(vectors)
    two_axes, one_axis = _legacy_counts(shapes, owners, vectors)
    a = one_axis / two_axes
    x = (-a + math.sqrt(a * a + 4 * rate * (1 + a))) / 2
    narrowest = _narrowest(vectors)
    if not _round_down(narrowest, x):
        _refuse_empty(rate, (two_axes / narrowest + one_axis) / narrowest / (two_axes + one_axis))
    fraction = x**progress
    lengths = {**_scaled(vectors, fraction, _round_down), **_settled(vectors, current)}
    return Widths(lengths, _round_down(_ffn_total(vectors), fraction))


def _terms(shapes, owners):
    """The parameter count as a polynomial in the vectors' lengths: dict of factors -> coefficient."""
    terms: Counter[tuple[str, ...]] = Counter()
    for name, shape in shapes.items():
        owned = {axis: vector for axis, vector, *_ in owners.get(name, ())}
        terms[tuple(owned.values())] += math.prod(size for axis, size in enumerate(shape) if axis not in owned)
    return terms


def _count(terms, lengths):
    return sum(coefficient * math.prod(lengths[name] for name in names) for names, coefficient in terms.items())


def _round_half_up(width, fraction):
    return math.floor(fraction * width + 0.5)


def _round_down(width, fraction):
    return width - math.ceil((1 - fraction) * width)


def _scaled(vectors, fraction, kept):
    """Lengths of all but the FFN vectors, every head alike."""
    return {v.name: v.heads * kept(v.length // v.heads, fraction) for v in vectors if v.kind != "neuron"}


def _settled(vectors, current):
    """The present lengths, without those of FFN vectors and of vectors not cut yet."""
    originals = {v.name: v.length for v in vectors if v.kind != "neuron"}
    return {name: length for name, length in (current or {}).items() if originals.get(name, length) != length}


def _ffn_total(vectors):
    return sum(v.length for v in vectors if v.kind == "neuron")


def _narrowest(vectors):
    return min(v.length for v in vectors if v.kind == "residual")


def _largest_fraction(rest, layers, vectors, rate, total):
    """Bisect for x, from the least that leaves every residual vector a unit, to the last float."""

    def fits(x):
        lengths = _scaled(vectors, x, _round_half_up)
        return _ffn_units_within(int(rate * total), rest, layers, lengths) >= _round_half_up(_ffn_total(vectors), x)

    low, high = math.nextafter(0.5 / _narrowest(vectors), 1), 1.0
    if not fits(low):
        lengths, units = _scaled(vectors, low, _round_half_up), _round_half_up(_ffn_total(vectors), low)
        costliest = max(_count(unit, lengths) for unit in layers.values())
        _refuse_empty(rate, (_count(rest, lengths) + units * costliest) / total)
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def _split(terms, vectors):
    """Take the FFN units out of a count: the terms of the rest, dict of FFN vector -> terms of one unit."""
    ffn = {v.name: v for v in vectors if v.kind == "neuron"}
    parts: dict[Coupled | None, Counter] = {None: Counter(), **{v: Counter() for v in ffn.values()}}
    for names, coefficient in terms.items():
        layer = next((ffn[name] for name in names if name in ffn), None)
        parts[layer][tuple(name for name in names if name not in ffn)] += coefficient
    return parts.pop(None), parts


def _ffn_units_within(budget, rest, layers, lengths):
    """FFN units that fit beside other widths wherever they lie; below 0 if those alone exceed the budget."""
    left, units = budget - _count(rest, lengths), 0
    for cost, length in sorted(((_count(unit, lengths), v.length) for v, unit in layers.items()), reverse=True):
        fitting = min(length, left // cost)
        units, left = units + fitting, left - fitting * cost
        if fitting < length:  # what is left would buy units of cheaper layers, but the next may be one of these
            break
    return units


def _legacy_counts(shapes, owners, vectors):
    """Weights with two prunable axes and with one, less the q, k and v biases of all blocks but one."""
    originals = {v.name: v.length for v in vectors}
    two_axes, one_axis = (
        _count({names: n for names, n in _terms(shapes, owners).items() if len(names) == axes}, originals)
        for axes in (2, 1)
    )
    queries, values = ([v.length for v in vectors if v.kind == kind] for kind in ("qk", "vo"))
    return two_axes, one_axis - 2 * sum(queries[1:]) - sum(values[1:])


def _check_rate(rate):
    if not 0 < rate < 1:
        raise ValueError(
            f"--compression-rate {rate}: give the fraction of parameters to keep, above 0 and below 1, e.g. 0.2"
        )


def _check_uniform(vectors):
    widths = sorted({v.length for v in vectors if v.kind == "residual"})
    heads = sorted({v.heads for v in vectors if v.kind in ("qk", "vo")})
    if len(widths) > 1 or len(heads) > 1:
        raise ValueError(
            f"--srp-budget legacy: needs one residual width and one head count, not widths {widths} "
            f"and heads {heads}; give --srp-budget exact"
        )


def _refuse_empty(rate, smallest):
    digits = 2 - math.floor(math.log10(smallest))
    smallest = math.ceil(smallest * 10**digits) / 10**digits
    raise ValueError(
        f"--compression-rate {rate}: would leave a residual width of 0; "
        f"the smallest rate that works here is about {smallest:g}"
    )
