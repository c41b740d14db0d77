"""A Transformer as plain layers, free of the classes that trained it.

All tensors are float32 on the CPU; weights are [out, in], and attention dimensions head-major.
"""

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Linear:
    """weight [out, in] and bias [out]."""

    weight: torch.Tensor
    bias: torch.Tensor | None = None


@dataclass(frozen=True)
class Norm:
    """Layer norm: scale and shift [width], and what is added to the variance."""

    scale: torch.Tensor
    shift: torch.Tensor
    eps: float


@dataclass(frozen=True)
class Attention:
    """Query and key [heads * qk, in], value [heads * vo, in], output [out, heads * vo], in ``heads`` heads.

    ``factor`` multiplies the scores, and stays what it was before a cut.
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
    """inner [neurons, width], the activation, outer [width, neurons]."""

    inner: Linear
    outer: Linear
    norm: Norm


@dataclass(frozen=True)
class Layer:
    """Attention to the own side, to the encoder (None: there is none), and neurons."""

    itself: Attention
    source: Attention | None
    neurons: FeedForward


@dataclass(frozen=True)
class Side:
    """An encoder or a decoder.

    Args:
        words: embeddings [vocabulary, width].
        factor: of the embeddings.
        positions: what is added to them, [longest sentence (tokens), width].
        pre_norm: True: norms stand before their block, False: after it and its residual.
        project: (into the width of the layers, out of it), each None where the widths are one.
        output: [vocabulary, width], None for an encoder.
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

    ``activation`` is fairseq's name of the function of the feed-forward blocks.
    """

    encoder: Side | None
    decoder: Side
    activation: str
