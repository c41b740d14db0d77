"""Hidden states of a model's layers, and which of a teacher's layers each is compared with."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..pruning.surgery.depth import layers_of, padding_of
from .divergence import distance

Place = tuple[str, int]  # of a layer: its stack, and its number in it


class States(NamedTuple):
    """What a layer returned.

    Args:
        values: [T, B, C].
        padding: bool [B, T], True = padding; None: there is none.
    """

    values: Tensor
    padding: Tensor | None


def compared_stacks(model: nn.Module) -> dict[str, list[nn.Module]]:
    """A model's stacks of Transformer layers, whose hidden states can be compared: dict of name -> all layers."""
    names = [name for name, module in model.named_modules() if isinstance(module, nn.ModuleList)]
    stacks = {name: layers_of(model, name) for name in names}
    return {name: layers for name, layers in stacks.items() if layers and all(map(_is_layer, layers))}


def _is_layer(module):
    return all(hasattr(module, part) for part in ("self_attn", "fc1", "fc2"))


def check_stacks(student: nn.Module, teacher: nn.Module) -> None:
    """Refuse models whose hidden states cannot be compared.

    Raises:
        ValueError: naming what is missing or differs.
    """
    mine, theirs = compared_stacks(student), compared_stacks(teacher)
    shared = [name for name in mine if name in theirs]
    if not shared:
        raise ValueError("the models have no stacks of Transformer layers in common; leave it out")
    if hasattr(student, "connectivity"):
        raise ValueError("the width of hidden states shrinks in this architecture; leave it out")
    for name in shared:
        width, other = (stack[0].get_parameter("fc2.weight").shape[0] for stack in (mine[name], theirs[name]))
        if width != other:
            raise ValueError(f"the hidden states of {name} have {width} channels, the teacher's {other}; leave it out")


def matched(layers: int, theirs: int) -> list[int]:
    """The teacher's layer for each of a student's, evenly, the last for the last; counted from 0.

    Source: the uniform mapping of TinyBERT (Jiao et al. 2020, arXiv:1909.10351), rounded up.

    Example:
        >>> matched(3, 6), matched(4, 6), matched(2, 1)
        ([1, 3, 5], [1, 2, 4, 5], [0, 0])
    """
    return [-(-(layer + 1) * theirs // layers) - 1 for layer in range(layers)]


@contextlib.contextmanager
def watched(model: nn.Module) -> Iterator[dict[Place, States]]:
    """Collect what the layers of a model return meanwhile, dict of (stack, layer) -> states."""
    seen: dict[Place, States] = {}

    def collect(place):
        def see(layer, args, named, output):
            states = output[0] if isinstance(output, tuple) else output
            seen[place] = States(states, padding_of(layer, args, named))

        return see

    handles = [
        layer.register_forward_hook(collect((name, place)), with_kwargs=True)
        for name, stack in compared_stacks(model).items()
        for place, layer in enumerate(stack)
    ]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def hidden_distance(
    student: Mapping[Place, States], teacher: Mapping[Place, States], sizes: Mapping[str, list[int]]
) -> Tensor:
    """Mean over matched layers of :func:`~.divergence.distance`; layers that were dropped do not count, 0 if all were.

    Args:
        student, teacher: of :func:`watched`.
        sizes: dict of stack -> the teacher's layer for each of the student's.
    """
    distances = []
    for (stack, layer), mine in student.items():
        theirs = teacher.get((stack, sizes[stack][layer])) if stack in sizes else None
        if theirs is not None:
            distances.append(distance(mine.values, theirs.values, _counted(mine)))
    if not distances:  # a teacher drops no layers: where it computes, and how finely
        values = next(iter(teacher.values())).values
        return values.new_zeros((), dtype=torch.promote_types(values.dtype, torch.float32))
    return torch.stack(distances).mean()


def _counted(states):
    if states.padding is None:
        return states.values.new_ones(states.values.shape[:-1], dtype=torch.bool)
    return ~states.padding.t()
