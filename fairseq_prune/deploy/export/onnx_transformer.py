"""A Transformer's encoder, and a decoder step that continues from cached keys and values, as modules for ONNX."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .layers import Attention, FeedForward, Linear, Norm, Side

Activation = Callable[[Tensor], Tensor]


class _Shared:
    """Turns tensors into parameters; tied tensors become one parameter, stored once in the file."""

    def __init__(self):
        self._known: dict[tuple[int, torch.Size], nn.Parameter] = {}

    def parameter(self, tensor):
        key = tensor.data_ptr(), tensor.shape
        return self._known.setdefault(key, nn.Parameter(tensor, requires_grad=False))


class _Linear(nn.Module):
    def __init__(self, layer: Linear, shared: _Shared):
        super().__init__()
        self.weight = shared.parameter(layer.weight)
        self.bias = None if layer.bias is None else shared.parameter(layer.bias)

    def forward(self, x):
        return F.linear(x, self.weight, self.bias)


class _Norm(nn.Module):
    """A layer norm, or the identity if there is none."""

    def __init__(self, norm: Norm | None, shared: _Shared):
        super().__init__()
        self.eps = None if norm is None else norm.eps
        if norm is not None:
            self.scale, self.shift = shared.parameter(norm.scale), shared.parameter(norm.shift)

    def forward(self, x):
        return x if self.eps is None else F.layer_norm(x, self.scale.shape, self.scale, self.shift, self.eps)


class _Attention(nn.Module):
    """Attention to keys and values [batch, heads, length, width of a head]."""

    def __init__(self, block: Attention, shared: _Shared):
        super().__init__()
        self.heads, self.factor, self.norm = block.heads, block.factor, _Norm(block.norm, shared)
        self.query, self.key, self.value, self.output = (
            _Linear(part, shared) for part in (block.query, block.key, block.value, block.output)
        )

    def split(self, x):
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)

    def memory(self, x):
        """Keys and values for attention to ``x``."""
        return self.split(self.key(x)), self.split(self.value(x))

    def forward(self, x, keys, values, hidden):
        scores = torch.matmul(self.split(self.query(x)) * self.factor, keys.transpose(2, 3))
        weights = scores.masked_fill(hidden, float("-inf")).softmax(3)
        return self.output(torch.matmul(weights, values).transpose(1, 2).flatten(2))


class _FeedForward(nn.Module):
    def __init__(self, block: FeedForward, activation: Activation, shared: _Shared):
        super().__init__()
        self.inner, self.outer = _Linear(block.inner, shared), _Linear(block.outer, shared)
        self.activation, self.norm = activation, _Norm(block.norm, shared)

    def forward(self, x):
        return self.outer(self.activation(self.inner(x)))


class _Net(nn.Module):
    """What encoder and decoder have in common."""

    def __init__(self, side: Side, activation: Activation, shared: _Shared):
        super().__init__()
        self.words, self.positions = shared.parameter(side.words), shared.parameter(side.positions)
        self.factor, self.pre_norm = side.factor, side.pre_norm
        self.embedding_norm, self.last_norm = _Norm(side.embedding_norm, shared), _Norm(side.last_norm, shared)
        self.into = nn.Identity() if side.project[0] is None else _Linear(side.project[0], shared)
        self.itself = nn.ModuleList([_Attention(layer.itself, shared) for layer in side.layers])
        self.neurons = nn.ModuleList([_FeedForward(layer.neurons, activation, shared) for layer in side.layers])

    def embed(self, tokens, positions):
        words = self.into(self.factor * F.embedding(tokens, self.words))
        return self.embedding_norm(words + F.embedding(positions, self.positions))

    def around(self, block, x, compute):
        """A block with its residual connection, and its norm before or after it."""
        if self.pre_norm:
            return x + compute(block.norm(x))
        return block.norm(x + compute(x))


class Encoder(_Net):
    """Source tokens -> the keys and values that the decoder attends to.

    Args:
        side: the encoder.
        decoder: the decoder that reads it.
        activation: activation function of the feed-forward blocks.
        pad: id of the padding token.
    """

    def __init__(self, side: Side, decoder: Side, activation: Activation, pad: int):
        shared = _Shared()
        super().__init__(side, activation, shared)
        self.pad = pad
        self.readers: Any = nn.ModuleList(
            [_Attention(layer.source, shared) for layer in decoder.layers if layer.source]
        )

    def forward(self, tokens: Tensor) -> tuple[Tensor, ...]:
        """Encode sentences.

        Args:
            tokens: int64 [batch, length], padded anywhere.

        Returns:
            (mask [batch, length], True = padding; then, for each decoder layer that attends to the encoder, keys and
            values [batch, heads, length, width of a head]).
        """
        padding = tokens == self.pad
        positions = ((~padding).long().cumsum(1) - 1).clamp(min=0)
        x = self.embed(tokens, positions).masked_fill(padding.unsqueeze(2), 0.0)
        hidden = padding[:, None, None, :]
        for attention, neurons in zip(self.itself, self.neurons, strict=True):
            x = self.around(attention, x, lambda y, a=attention: a(y, *a.memory(y), hidden))
            x = self.around(neurons, x, neurons)
        x = self.last_norm(x)
        return padding, *(part for reader in self.readers for part in reader.memory(x))


class DecoderStep(_Net):
    """Log-probabilities after each new token, given the keys and values of the tokens before.

    Args:
        side: the decoder.
        activation: activation function of the feed-forward blocks.
    """

    def __init__(self, side: Side, activation: Activation):
        shared = _Shared()
        super().__init__(side, activation, shared)
        assert side.output is not None, "an encoder has no steps"
        sources = [layer.source for layer in side.layers]
        self.reads = [source is not None for source in sources]
        self.source = nn.ModuleList([nn.Identity() if s is None else _Attention(s, shared) for s in sources])
        self.out_of = nn.Identity() if side.project[1] is None else _Linear(side.project[1], shared)
        self.output = _Linear(side.output, shared)

    def forward(self, tokens: Tensor, *memory: Tensor) -> tuple[Tensor, ...]:
        """Run one step.

        Args:
            tokens: int64 [batch, new].
            memory: keys and values of each layer [batch, heads, past, width of a head]; then, if there is an encoder,
                what :class:`Encoder` returned.

        Returns:
            (log-probabilities [batch, new, vocabulary], keys and values, with those of the new tokens appended).
        """
        own, source = memory[: 2 * len(self.itself)], memory[2 * len(self.itself) :]
        past, new = own[0].shape[2], tokens.shape[1]
        positions = torch.arange(new, device=tokens.device) + past
        later = torch.arange(past + new, device=tokens.device)[None, :] > positions[:, None]
        x, memories = self.embed(tokens, positions[None, :]), []
        of_source = iter(source[1:])
        for index, (attention, neurons) in enumerate(zip(self.itself, self.neurons, strict=True)):
            x = self.around(attention, x, self._remembering(attention, own[2 * index : 2 * index + 2], later, memories))
            if self.reads[index]:
                reader, parts, hidden = self.source[index], (next(of_source), next(of_source)), source[0]
                x = self.around(reader, x, lambda y, r=reader, p=parts, h=hidden: r(y, *p, h[:, None, None, :]))
            x = self.around(neurons, x, neurons)
        scores = self.output(self.out_of(self.last_norm(x)))
        return F.log_softmax(scores, 2), *memories

    def _remembering(self, attention, past, later, memories):
        """Attention to past and new tokens; adds their keys and values to ``memories``."""

        def attend(x):
            keys, values = (torch.cat(pair, 2) for pair in zip(past, attention.memory(x), strict=True))
            memories.extend((keys, values))
            return attention(x, keys, values, later)

        return attend
