"""Importance of weights from the inputs of their layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..registry import Registry
from .inputs import Inputs


def wanda(weight: Tensor, inputs: Inputs) -> Tensor:
    """Size of the weight times the norm of its input: Sun et al., ICLR 2024 (arXiv:2306.11695), eq. 1.

    Args:
        weight: [groups, outputs, columns], float32 or wider; see :class:`~.inputs.Inputs`.
        inputs: of the layer.

    Returns:
        Scores of the same shape, 0 or more; higher = keep.
    """
    return weight.abs() * inputs.norms.unsqueeze(1)


def ria(weight: Tensor, inputs: Inputs) -> Tensor:
    """Share of its row and of its column, times the root of the input's norm: Zhang et al., ICLR 2024, RIA, eq. 5, 6.

    Plug-and-Play (openreview.net/forum?id=Tr0lPx9woF), with the exponent 0.5 of its tables. Arguments as :func:`wanda`.
    """
    size = weight.abs()
    rows, columns = size.sum(2, keepdim=True), size.sum(1, keepdim=True)
    tiny = torch.finfo(size.dtype).tiny
    shares = size / rows.clamp(min=tiny) + size / columns.clamp(min=tiny)
    return shares * inputs.norms.sqrt().unsqueeze(1)


def obs(weight: Tensor, inputs: Inputs) -> Tensor:
    """How much the outputs change at best if the weight is removed and those after it make up for it.

    Frantar & Alistarh, ICML 2023 (arXiv:2301.00774), SparseGPT: the weight squared, by the diagonal of the factor of
    the inverse Hessian. Arguments as :func:`wanda`.
    """
    if inputs.products is None:  # unrelated to each other
        return (weight * inputs.norms.unsqueeze(1)).square()
    return (weight / inputs.factor.diagonal(dim1=1, dim2=2).unsqueeze(1)).square()


@dataclass(frozen=True)
class InputScore:
    """An importance by inputs: how the weights of a layer are scored.

    Args:
        score: function of (weight, inputs) -> scores.
        paired: it needs products of pairs of inputs.
        compensates: what is kept is changed so that it makes up for what is removed.
    """

    score: Callable[[Tensor, Inputs], Tensor]
    paired: bool = False
    compensates: bool = False


INPUT_SCORES: Registry[InputScore] = Registry("importance by inputs")
INPUT_SCORES.add("wanda")(InputScore(wanda))
INPUT_SCORES.add("ria")(InputScore(ria))
INPUT_SCORES.add("obs")(InputScore(obs, paired=True, compensates=True))
