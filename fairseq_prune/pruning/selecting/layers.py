"""Selecting whole layers of a stack."""

import fnmatch
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from ..masks import Masks
from ..registry import closest
from ..surgery.structure import Coupled, Structure
from ..units import Row
from ..units.coupled import CoupledUnits
from .coupled import CoupledSelector
from .selection import Selection
from .selector import Average, SelectionPlan, Values, unit_key


class LayerSelector(CoupledSelector):
    """Selects layers; patterns match the names of their parameters, so that single layers can be skipped.

    Arguments as :class:`CoupledSelector`.

    Raises:
        ValueError: as there.
    """

    def __init__(
        self,
        plan: SelectionPlan,
        structure: Structure,
        units: CoupledUnits,
        average: Average,
        parameters: Mapping[str, nn.Parameter],
    ):
        self.cuts_on_the_way = False  # layers keep their numbers until the end
        self._whole = structure.vectors
        matched, self._numbers = _matched(plan, structure, units.kinds)
        without_patterns: Any = plan
        super().__init__(replace(without_patterns, skip=(), only=()), matched, units, average, parameters)

    def select(
        self, fractions: Mapping[str, float], masks: Masks, generator: torch.Generator, evidence: Values | None = None
    ) -> Selection:
        """As :meth:`~.selector.Selector.select`; ``keep`` has all layers of a stack, removable or not."""
        selection, keep = super().select(fractions, masks, generator, evidence), {}
        for stack, kept in selection.keep.items():
            keep[stack] = kept.new_ones(self._whole[stack].length)
            keep[stack][self._numbers[stack]] = kept
        return replace(selection, keep=keep)

    def _scores(self, layer: str, generator: torch.Generator, evidence: Values | None) -> Tensor:
        """Scores of the removable layers: from evidence about layers, else from all matrices of each layer together."""
        gathered, summed = ((evidence or {}).get(key) for key in (layer, unit_key(layer)))
        if summed is not None:
            rows = list(summed[:, None, None])
        elif gathered is not None:
            rows = list(gathered[self._numbers[layer]][:, None, None])
        else:
            values = evidence or {name: parameter.detach() for name, parameter in self._parameters.items()}
            mine = [[values[name].flatten() for name in owned] for owned in self._matrices(layer)]
            rows = [torch.cat(parts)[None] for parts in mine]
        return self._average(torch.cat([self._importance(row, Row(), generator) for row in rows]))

    def sum_over(self, layer: str, values: Values) -> Tensor:
        """As :meth:`Selector.sum_over`, over the matrices of each layer that may be removed."""
        mine = [[values[name].float().sum() for name in owned] for owned in self._matrices(layer)]
        return torch.stack([torch.stack(parts).sum() for parts in mine])

    def _matrices(self, stack):
        """Names of the matrices of each layer that may be removed, list of lists."""
        names = self._structure.vectors[stack].writers
        return [[name for name in names if name.startswith(f"{stack}.{number}.")] for number in self._numbers[stack]]


def _matched(
    plan: SelectionPlan, structure: Structure, kinds: tuple[str, ...]
) -> tuple[Structure, dict[str, list[int]]]:
    """The structure of the layers that patterns allow to remove, and their numbers, dict of stack -> list."""
    stacks = [vector for vector in structure.vectors.values() if vector.kind in kinds]
    for option, patterns in (("--prune-skip", plan.skip), ("--prune-only", plan.only)):
        for pattern in patterns:
            if stacks and not any(
                _matches(stack, number, pattern) for stack in stacks for number in range(stack.length)
            ):
                hint = closest(pattern, [stack.name for stack in stacks])
                raise ValueError(f"{option} {pattern}: matches no layer{hint}; e.g. '{stacks[0].name}.*'")
    numbers = {stack.name: [n for n in range(stack.length) if _may_leave(plan, stack, n)] for stack in stacks}
    table = {}
    for entry, owners in structure.table.items():
        table[entry] = tuple(
            owner._replace(elements=_renumbered(owner.elements, numbers[owner.vector]))
            if owner.vector in numbers
            else owner
            for owner in owners
        )
    vectors = {
        name: replace(v, length=len(numbers[name])) if name in numbers else v
        for name, v in structure.vectors.items()
        if numbers.get(name, [0])
    }
    if stacks and not any(numbers.values()):
        raise ValueError(f"--prune-skip '{','.join(plan.skip)}' leaves nothing to prune")
    return replace(structure, table=table, vectors=vectors), numbers


def _renumbered(elements: Tensor | None, numbers: list[int]) -> Tensor:
    """Elements, all of one layer, by its number among those that may be removed; -1 for those of the others."""
    assert elements is not None
    number = int(elements[0])
    return torch.full_like(elements, numbers.index(number) if number in numbers else -1)


def _may_leave(plan: SelectionPlan, stack: Coupled, number: int) -> bool:
    asked = not plan.only or any(_matches(stack, number, pattern) for pattern in plan.only)
    return asked and not any(_matches(stack, number, pattern) for pattern in plan.skip)


def _matches(stack: Coupled, number: int, pattern: str) -> bool:
    layer = f"{stack.name}.{number}"
    names = (stack.name, layer, *(name for name in stack.writers if name.startswith(f"{layer}.")))
    return any(fnmatch.fnmatchcase(name, pattern) for name in names)
