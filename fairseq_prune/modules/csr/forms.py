"""Layers computed from CSR matrices, transposed: one column for each row of the input, which is how MKL is fast."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..word_projection import WordProjection
from .choice import Form

_PIECE = 32  # rows at a time, so that a vocabulary's scores stay in the processor's cache
_STEPS, _ROWS = 8, 256  # of an input that is timed


def to_csr(weight: Tensor) -> Tensor:
    """A matrix without its zeros.

    Args:
        weight: float [out, in].

    Returns:
        CSR tensor with int32 indices, which MKL takes as they are.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls CSR a beta
        wide = weight.detach().to_sparse_csr()
        indices = wide.crow_indices().int(), wide.col_indices().int()
        return torch.sparse_csr_tensor(*indices, wide.values(), wide.shape, check_invariants=False)


class CsrLinear:
    """``W x + b`` for rows x.

    Args:
        weight: float [out, in].
        bias: float [out] or None.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None):
        self._weight = to_csr(weight)
        self._bias = weight.new_zeros(len(weight), 1) if bias is None else bias.detach()[:, None]
        self.left = self._weight.values().numel() / max(weight.numel(), 1)

    def takes(self, x: Tensor) -> bool:
        """Of the width."""
        return x.size(-1) == self._weight.size(1) and x.numel() > 0

    def rows(self, x: Tensor) -> int:
        """All but the last axis."""
        return x.numel() // x.size(-1)

    def sample(self, x: Tensor) -> Tensor:
        """Its first rows."""
        return x.reshape(-1, x.size(-1))[:_ROWS]

    def __call__(self, x: Tensor) -> Tensor:
        """float [..., out] of float [..., in]."""
        rows = x.reshape(-1, x.size(-1))
        out = rows.new_empty(len(rows), self._weight.size(0))
        for piece, into in zip(rows.split(_PIECE), out.split(_PIECE), strict=True):
            scores = torch.addmm(self._bias.expand(-1, len(piece)), self._weight, piece.t())
            into.copy_(scores.t())
        return out.view(*x.shape[:-1], -1)


class _Gates:
    """One layer of an LSTM: input and state beside each other, so that a step is one product."""

    def __init__(self, into, recurrent, biases):
        self.weight = to_csr(torch.cat([into, recurrent], 1))
        self.bias = sum(biases, into.new_zeros(len(into))).detach()[:, None]

    def step(self, x, hidden, cell):
        """(hidden, cell) after x, each [width, batch]."""
        gates = torch.addmm(self.bias.expand(-1, x.size(1)), self.weight, torch.cat([x, hidden]))
        width = len(hidden)
        gates[: 2 * width].sigmoid_()
        gates[2 * width : 3 * width].tanh_()
        gates[3 * width :].sigmoid_()
        taken, kept, new, shown = gates.chunk(4)
        cell = (kept * cell).addcmul_(taken, new)
        return cell.tanh().mul_(shown), cell


def _left(weights: Sequence[Tensor]) -> float:
    return sum(int(w.count_nonzero()) for w in weights) / sum(w.numel() for w in weights)


class CsrLstm:
    """``nn.LSTM`` of one direction, not batch first, without dropout: as in evaluation.

    Args:
        lstm: the module.
    """

    def __init__(self, lstm: nn.LSTM):
        weights = lstm.all_weights
        self._layers = [_Gates(w[0], w[1], w[2:]) for w in weights]
        self._width, self._inputs = lstm.hidden_size, lstm.input_size
        self.left = _left([part for w in weights for part in w[:2]])

    def takes(self, x: Tensor) -> bool:
        """A batch."""
        return x.dim() == 3 and x.size(2) == self._inputs and x.numel() > 0

    def rows(self, x: Tensor) -> int:
        """The batch: steps follow each other."""
        return x.size(1)

    def sample(self, x: Tensor) -> Tensor:
        """Its first steps."""
        return x[:_STEPS]

    def __call__(self, x: Tensor, state: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """As the module's: x [steps, batch, in]; state each [layers, batch, width]."""
        if state is None:
            zeros = x.new_zeros(len(self._layers), x.size(1), self._width)
            state = zeros, zeros
        steps, ends = list(x.transpose(1, 2)), []
        for layer, hidden, cell in zip(self._layers, *state, strict=True):
            hidden, cell, outputs = hidden.t(), cell.t(), []
            for step in steps:
                hidden, cell = layer.step(step, hidden, cell)
                outputs.append(hidden)
            steps = outputs
            ends.append((hidden, cell))
        hiddens, cells = (torch.stack(parts).transpose(1, 2) for parts in zip(*ends, strict=True))
        return torch.stack(steps).transpose(1, 2), (hiddens.contiguous(), cells.contiguous())


class CsrLstmCell:
    """``nn.LSTMCell``.

    Args:
        cell: the module.
    """

    def __init__(self, cell: nn.LSTMCell):
        biases = [bias for bias in (cell.bias_ih, cell.bias_hh) if bias is not None]
        self._gates = _Gates(cell.weight_ih, cell.weight_hh, biases)
        self._inputs, self.left = cell.input_size, _left([cell.weight_ih, cell.weight_hh])

    def takes(self, x: Tensor) -> bool:
        """A batch."""
        return x.dim() == 2 and x.size(1) == self._inputs and x.numel() > 0

    def rows(self, x: Tensor) -> int:
        """The batch."""
        return len(x)

    def sample(self, x: Tensor) -> Tensor:
        """All of it."""
        return x

    def __call__(self, x: Tensor, state: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, ...]:
        """As the module's: x [batch, in]; state each [batch, width]."""
        if state is None:
            zeros = x.new_zeros(len(x), self._gates.weight.size(0) // 4)
            state = zeros, zeros
        return tuple(part.t() for part in self._gates.step(x.t(), state[0].t(), state[1].t()))


def form_of(module: nn.Module) -> Callable[[], Form] | None:
    """What builds a layer's form; None for layers that have none."""
    if isinstance(module, nn.LSTM):
        plain = not (module.bidirectional or module.proj_size or module.batch_first)
        return (lambda: CsrLstm(module)) if plain else None
    if isinstance(module, WordProjection):
        return lambda: CsrLinear(*module.joined())
    makers: dict[type, Callable[[Any], Form]] = {
        nn.Linear: lambda linear: CsrLinear(linear.weight, linear.bias),
        nn.LSTMCell: CsrLstmCell,
    }
    return (lambda: makers[type(module)](module)) if type(module) in makers else None
