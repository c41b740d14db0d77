"""Bypassing and cutting whole layers of a stack, each of which takes and returns one hidden state.

The layers of a stack are numbered in the names of all they own, as ``decoder.layers.3.fc1.weight``; those
that stay are numbered anew.
"""

import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from ..masks import Masks
from .structure import Coupled
from .table import Owner

Value = TypeVar("Value")
Keep = Mapping[str, Tensor]  # name of a stack -> bool [layers], True = keep


def layers_of(model: nn.Module, stack: str) -> list[nn.Module]:
    """The layers of a stack, all of them: iterating over one that has LayerDrop draws lots."""
    return [layer for _, layer in model.get_submodule(stack).named_children()]


def layer_units(model: nn.Module, stack: str, cuts: bool) -> tuple[list[tuple[str, Owner]], Coupled]:
    """The layers of a stack, as units that own all their parameters.

    Args:
        model: ``nn.Module``.
        stack: name of the ``nn.ModuleList``.
        cuts: False if its layers can only be masked.

    Returns:
        (list of (parameter name, :class:`~.table.Owner`), :class:`~.structure.Coupled`).
    """
    layers, rows, matrices = layers_of(model, stack), [], []
    for number, layer in enumerate(layers):
        for name, parameter in layer.named_parameters(prefix=f"{stack}.{number}"):
            rows.append((name, Owner(0, stack, torch.full((len(parameter),), number))))
            matrices += [name] if parameter.dim() > 1 else []
    return rows, Coupled(stack, "layer", len(layers), tuple(matrices), cuts=cuts)


def without_anything(names: Iterable[str], stack: str, layers: int, masks: Masks) -> Tensor:
    """Which layers of a stack have lost all their parameters.

    Args:
        names: of all parameters, but for further names of one that is shared.
        stack: its name.
        layers: that it has (count).
        masks: dict of parameter name -> bool; True = keep.

    Returns:
        bool [layers].
    """
    mine = [name for name in names if name.startswith(f"{stack}.")]
    gone = {name for name in mine if name in masks and not masks[name].any()}
    owned = ([name for name in mine if name.startswith(f"{stack}.{number}.")] for number in range(layers))
    return torch.tensor([gone.issuperset(of_one) for of_one in owned])


PADDING = ("self_attn_padding_mask", "encoder_padding_mask")  # of a layer's own tokens; the second without the first


def padding_of(layer: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Tensor | None:
    """The padding of its own tokens that a layer was given, by position or by name; None if it was given none.

    Args:
        layer: of a stack.
        args, kwargs: that it is called with; the first is the hidden state [tokens, sentences, channels].

    Returns:
        bool [sentences, tokens], True = padding.
    """
    signature = inspect.signature(type(layer).forward)  # of the class: the layer's own may be wrapped
    try:
        given: Mapping[str, Any] = signature.bind(layer, *args, **kwargs).arguments
    except TypeError:
        given = kwargs
    padding = given.get(PADDING[0] if PADDING[0] in signature.parameters else PADDING[1])
    return padding if padding is not None and padding.t().shape == args[0].shape[:2] else None


def bypass(layer: nn.Module, inputs: tuple[Any, ...], output: Any) -> Any:
    """Forward hook: return the incoming hidden state, as if the layer were not there.

    What else a layer returns (attention weights) stays. The output counts nothing, but takes part in the graph:
    DDP wants a gradient of every parameter.
    """
    state, made = inputs[0], output[0] if isinstance(output, tuple) else output
    if made.requires_grad:
        state = state + 0 * made
    return (state, *output[1:]) if isinstance(output, tuple) else state


def cut_layers(model: nn.Module, keep: Keep) -> None:
    """Cut layers out of a model; the remaining ones are renumbered.

    Args:
        model: ``nn.Module``, changed in place.
        keep: dict of stack name -> bool [layers], True = keep.
    """
    for stack, kept in keep.items():
        layers: Any = model.get_submodule(stack)
        owner: Any = model.get_submodule(stack.rpartition(".")[0])
        for number in (~kept).nonzero().flatten().flip(0).tolist():
            del layers[number]
        if hasattr(owner, "num_layers"):  # fairseq's Transformers count them once
            owner.num_layers = len(layers)


def cut_names(entries: Mapping[str, Value], keep: Keep) -> dict[str, Value]:
    """The remaining entries of a dict by parameter name, under the names that :func:`cut_layers` gives.

    Example:
        >>> cut_names({"a.0.w": 1, "a.1.w": 2, "a.2.w": 3, "b": 4}, {"a": torch.tensor([True, False, True])})
        {'a.0.w': 1, 'a.1.w': 3, 'b': 4}
    """
    return {new: entries[name] for name, new in _new_names(entries, keep)}


def _new_names(names: Mapping[str, Any], keep: Keep) -> Iterator[tuple[str, str]]:
    for name in names:
        stack = next((stack for stack in keep if name.startswith(f"{stack}.")), None)
        number, _, rest = name[len(stack) + 1 :].partition(".") if stack else ("", "", "")
        if stack is None or not number.isdecimal():
            yield name, name
        elif keep[stack][int(number)]:
            yield name, f"{stack}.{int(keep[stack][: int(number)].sum())}.{rest}"
