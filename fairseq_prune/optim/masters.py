"""Locating the value and the moments of a parameter in every kind of fairseq optimizer.

Plain fp32 and AMP step the model's own parameters. ``FP16Optimizer`` steps fp32 masters and copies
them over the model, so a mask on the model alone is undone by the next step: the masters are a
list aligned with the parameters, or (by default) one flat vector for all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ..compat import unscaled
from ..pruning.enforce import multiply

if TYPE_CHECKING:
    from fairseq.optim import FairseqOptimizer


@dataclass(frozen=True)
class Home:
    """Where the optimizer keeps one parameter.

    Args:
        key: what the torch optimizer steps: the parameter, its fp32 copy, or the flat vector.
        offset: first element inside a flat vector (count); None otherwise.
    """

    key: torch.Tensor
    offset: int | None = None

    def view(self, tensor: Tensor, shape: torch.Size) -> Tensor:
        """The part of a tensor shaped like ``key`` that belongs to the parameter."""
        if self.offset is None:
            return tensor
        return tensor[self.offset : self.offset + shape.numel()].view(shape)


Homes = dict[torch.nn.Parameter, Home]  # of the parameters that are not their own masters


def homes(optimizer: FairseqOptimizer) -> Homes:
    """Find the master of every parameter that has one.

    Args:
        optimizer: a ``FairseqOptimizer`` or a wrapper of one.

    Returns:
        dict of model parameter -> :class:`Home`; a parameter that is not in it is its own master.
    """
    masters = getattr(optimizer, "fp32_params", None)
    if masters is None:
        return {}
    if isinstance(masters, dict):
        return _flat_homes(optimizer.fp16_params, masters)
    return {p: Home(master) for p, master in zip(optimizer.fp16_params, masters, strict=True)}


def _flat_homes(parameters, flat_by_device):
    """Parameters lie one after the other in the vector of their device."""
    found, offsets = {}, dict.fromkeys(flat_by_device, 0)
    for p in parameters:
        device = p.device.index if p.device.index in flat_by_device else next(iter(flat_by_device))
        found[p] = Home(flat_by_device[device], offsets[device])
        offsets[device] += p.numel()
    return found


def values_of(parameter: nn.Parameter, masters: Homes) -> list[Tensor]:
    """All tensors that hold the parameter's value, master first, shaped like it."""
    home = masters.get(parameter)
    if home is None:
        return [parameter.data]
    return [home.view(home.key.data, parameter.shape), parameter.data]


def multiply_values(parameters: Sequence[nn.Parameter], factors: Sequence[Tensor], masters: Homes) -> None:
    """Multiply parameters in place, or their masters, of which the model then gets the rounded values.

    Were both multiplied, they would drift apart, and a resumed run start from another master.

    Args:
        parameters: list; one may come again only with a factor of another shape.
        factors: list of tensors that broadcast.
        masters: from :func:`homes`.
    """
    multiply([values_of(p, masters)[0] for p in parameters], factors)
    rounded = [values_of(p, masters) for p in dict.fromkeys(parameters) if p in masters]
    if rounded:
        torch._foreach_copy_([value for _, value in rounded], [master for master, _ in rounded])


def master_gradient(parameter: nn.Parameter, masters: Homes) -> Tensor | None:
    """The gradient that the next step uses, shaped like the parameter; None where there is none."""
    home = masters.get(parameter, Home(parameter))
    return None if home.key.grad is None else home.view(home.key.grad, parameter.shape)


def moments_of(parameter: nn.Parameter, masters: Homes, optimizer: FairseqOptimizer) -> list[Tensor]:
    """Views of the optimizer's running statistics, shaped like the parameter.

    Args:
        parameter: a model parameter.
        masters: from :func:`homes`.
        optimizer: the fairseq optimizer; its torch optimizer holds the state.

    Returns:
        list of tensors; empty before the first step. Factored statistics (Adafactor) are left out.
    """
    home = masters.get(parameter, Home(parameter))
    state = optimizer.optimizer.state.get(home.key, {})
    return [
        home.view(value, parameter.shape)
        for value in state.values()
        if torch.is_tensor(value) and value.shape == home.key.shape
    ]


def counts_of(parameter: nn.Parameter, masters: Homes, optimizer: FairseqOptimizer) -> dict[str, Any]:
    """What the optimizer keeps for a parameter besides its moments, such as its count of steps; not copied.

    Args:
        parameter, masters, optimizer: as :func:`moments_of`.

    Returns:
        dict of name -> number, or tensor of another shape than the parameter's.
    """
    key = masters.get(parameter, Home(parameter)).key
    found = optimizer.optimizer.state.get(key, {}).items()
    return {n: v for n, v in found if isinstance(v, (int, float)) or torch.is_tensor(v) and v.shape != key.shape}


def set_count(
    parameter: nn.Parameter, masters: Homes, optimizer: FairseqOptimizer, name: str, value: float | Tensor
) -> None:
    """Set one of :func:`counts_of`; a tensor stays the same object, and where it is."""
    state = optimizer.optimizer.state[masters.get(parameter, Home(parameter)).key]
    if torch.is_tensor(state[name]):
        state[name].copy_(torch.as_tensor(value))
    else:
        state[name] = value


def add_to_gradients(
    parameters: Mapping[str, nn.Parameter],
    masters: Homes,
    optimizer: FairseqOptimizer,
    terms: Mapping[str, Tensor],
    weight: float,
) -> None:
    """Add to the gradients of the next step, as weight decay does; parameters without a gradient are left out.

    Args:
        parameters: of the model, dict of name -> parameter.
        masters: from :func:`homes`.
        optimizer: the fairseq optimizer; with fp16 its gradients may wait for a factor.
        terms: what is added, dict of name -> tensor shaped like the parameter.
        weight: factor of it (float).
    """
    found = {name: master_gradient(parameters[name], masters) for name in terms}
    gradients = [gradient for gradient in found.values() if gradient is not None]
    added = [terms[name] for name, gradient in found.items() if gradient is not None]
    if not gradients:
        return
    scale = weight / unscaled(optimizer)
    if torch.is_tensor(scale):  # a number of it would have to be waited for
        added, scale = list(torch._foreach_mul(added, scale)), 1.0
    torch._foreach_add_(gradients, added, alpha=scale)
