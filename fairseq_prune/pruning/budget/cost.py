"""Budgets in costs: how much to remove so that the given parameters or multiply-accumulates are left."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import NamedTuple

import torch
from torch import Tensor

from ..surgery.cut import shape_left
from ..surgery.structure import Coupled, Structure, can_be_cut

STEPS = 30  # of bisection: two fractions that choose differently are further apart


class Term(NamedTuple):
    """The part of one tensor in a cost.

    Args:
        name: of the parameter.
        times: how often each of its elements counts.
        axis: None = all elements; else only as many as this axis is long.
    """

    name: str
    times: float
    axis: int | None = None


@dataclass(frozen=True)
class Costs:
    """The cost of a model, from the shapes of its tensors.

    Args:
        terms: what adds up.
        rest: what no tensor's shape changes.
        shapes: dict of parameter name -> shape, before anything is cut.
    """

    terms: Sequence[Term]
    rest: float
    shapes: Mapping[str, Sequence[int]]

    def after(self, structure: Structure, keep: Mapping[str, Tensor]) -> float:
        """The cost after units have been cut out, where shapes can lose them.

        Args:
            structure: the model's coupled units, :class:`~..surgery.structure.Structure`.
            keep: dict of vector name -> bool [length], True = stays; other vectors stay whole.
        """
        cost, keep = self.rest, can_be_cut(structure.vectors, keep)
        shapes: dict[str, list[int]] = {}
        for name, times, axis in self.terms:
            if name not in shapes:
                shapes[name] = shape_left(self.shapes[name], structure.table.get(name, ()), keep)
            cost += times * (prod(shapes[name]) if axis is None else shapes[name][axis])
        return cost


@dataclass(frozen=True)
class CostLeft:
    """Remove the smallest fraction of the units with which the model meets a cost budget.

    Args:
        of: ``"params"`` or ``"macs"``.
        left: part of the cost that may be left, in (0, 1).
    """

    of: str
    left: float

    def __post_init__(self) -> None:
        if not 0 < self.left < 1:
            raise ValueError("give the part that may be left, in (0, 1), e.g. 0.4")

    def __str__(self):
        return f"{self.left} of the {self.of}"

    @property
    def option(self) -> str:
        """As the user gave it."""
        return f"--prune-{self.of}-left {self.left}"

    def check(self, costs: Costs, structure: Structure, vectors: Sequence[Coupled]) -> None:
        """Refuse a budget that cannot be met.

        Args:
            costs: of the model.
            structure: its coupled units.
            vectors: those that lose units; one of each, or of each of its heads, stays.

        Raises:
            ValueError: naming the least that can be left.
        """
        one = {v.name: torch.arange(v.length) % (v.length // v.heads) == 0 for v in vectors}
        least = costs.after(structure, one) / costs.after(structure, {})
        if least == 1:
            kinds = ", ".join(sorted({v.kind for v in vectors}))
            raise ValueError(
                f"{self.option}: {kinds} units of this model are masked, not cut; give e.g. --prune-target 0.5"
            )
        if least > self.left:
            more = round(least + 0.5e-4, 4)
            raise ValueError(
                f"{self.option}: at least {more:.4f} of them stay when all such units but one of every layer have "
                f"left; give e.g. --prune-{self.of}-left {min(more, 0.99)}, or other --prune-units"
            )

    def fraction(self, costs: Costs, structure: Structure, kept: Callable[[float], Mapping[str, Tensor]]) -> float:
        """The smallest sufficient fraction of the units, in [0, 1).

        Args:
            costs: of the model.
            structure: its coupled units.
            kept: function of a fraction -> dict of vector name -> bool [length], what would stay; a higher fraction
                keeps no more.

        Raises:
            ValueError: no fraction is enough.
        """
        most, low, high = self.left * costs.after(structure, {}), 0.0, 1 - 2.0**-STEPS
        if costs.after(structure, kept(low)) <= most:
            return low
        if (least := costs.after(structure, kept(high))) > most:
            raise ValueError(f"{self.option}: at least {least / most * self.left:.4f} of them stay; give that or more")
        while high - low > 2.0**-STEPS:
            middle = (low + high) / 2
            low, high = (low, middle) if costs.after(structure, kept(middle)) <= most else (middle, high)
        return high
