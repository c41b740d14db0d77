"""A Transformer as plain layers, independent of the classes that trained it.

All tensors are float32 on the CPU; weights are [out, in]; attention dimensions are ordered by head.
"""

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Linear:
    """Weight [out, in] and bias [out]."""

    weight: torch.Tensor
    bias: torch.Tensor | None = None


@dataclass(frozen=True)
class Norm:
    """Layer norm: scale and shift [width], and the epsilon that is added to the variance."""

    scale: torch.Tensor
    shift: torch.Tensor
    eps: float


@dataclass(frozen=True)
class Attention:
    """Query and key [heads * qk, in], value [heads * vo, in] and output [out, heads * vo] of ``heads`` heads.

    ``factor`` multiplies the scores; cutting does not change it.
    """

    query: Linear
    key: Linear
    value: Linear
    output: Linear
    heads: int
    factor: float
    norm: Norm


@dataclass(frozen=True)
class FeedForward:
    """``inner`` [neurons, width], the activation, and ``outer`` [width, neurons]."""

    inner: Linear
    outer: Linear
    norm: Norm


@dataclass(frozen=True)
class Layer:
    """Self-attention, attention to the encoder (None if there is none), and feed-forward block."""

    itself: Attention
    source: Attention | None
    neurons: FeedForward


@dataclass(frozen=True)
class Side:
    """An encoder or a decoder.

    Args:
        words: embeddings [vocabulary, width].
        factor: multiplies the embeddings.
        positions: added to them, [longest sentence (tokens), width].
        pre_norm: True if norms come before their block, False if after it and its residual.
        project: projections (into the width of the layers, out of it), each None if the widths are equal.
        output: [vocabulary, width]; None for an encoder.
    """

    words: torch.Tensor
    factor: float
    positions: torch.Tensor
    embedding_norm: Norm | None
    layers: list[Layer]
    pre_norm: bool
    last_norm: Norm | None
    project: tuple[Linear | None, Linear | None] = (None, None)
    output: Linear | None = None


@dataclass(frozen=True)
class Transformer:
    """What fairseq's Transformer computes in eval mode; ``encoder`` is None for a language model.

    ``activation`` is fairseq's name for the activation function of the feed-forward blocks.
    """

    encoder: Side | None
    decoder: Side
    activation: str
