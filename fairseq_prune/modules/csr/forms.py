"""Layers computed from CSR matrices, transposed: one column for each row of the input, which is how MKL is fast."""

import warnings
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from ..word_projection import WordProjection
from .choice import Form

_PIECE = 32  # rows at a time, so that a vocabulary's scores stay in the processor's cache
_STEPS, _ROWS = 8, 256  # of an input that is timed
_COUNTED = 2**17  # weights of a matrix, about, that tell how many are left


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
        self._whole = weight.detach()
        self._bias = weight.new_zeros(len(weight), 1) if bias is None else bias.detach()[:, None]

    @cached_property
    def left(self) -> float:
        """Fraction of the matrix that is not zero, about."""
        return _left([self._whole])

    @cached_property
    def _weight(self):
        return to_csr(self._whole)

    def takes(self, x: Tensor) -> bool:
        """True for inputs of the layer's width."""
        return x.size(-1) == self._whole.size(1) and x.numel() > 0

    def rows(self, x: Tensor) -> int:
        """Rows of the product (count): all axes but the last."""
        return x.numel() // x.size(-1)

    def sample(self, x: Tensor) -> Tensor:
        """The first rows of an input, to be timed."""
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
    """One layer of an LSTM: input and state beside each other, so that a step is one product.

    tanh(x) is 2 sigmoid(2 x) - 1, since torch's sigmoid takes a tenth of the time of its tanh: the rows of the new
    values are doubled and come last, and the cell is kept doubled.
    """

    def __init__(self, into: Tensor, recurrent: Tensor, biases: Sequence[Tensor]):
        bias = sum(biases, into.new_zeros(len(into))).detach()
        taken, kept, new, shown = torch.arange(len(into), device=into.device).chunk(4)
        order = torch.cat([taken, kept, shown, new])
        factor = torch.ones_like(bias)
        factor[new] = 2
        self.weight = to_csr((torch.cat([into, recurrent], 1) * factor[:, None])[order])
        self.bias, self.inputs = (bias * factor)[order, None], into.size(1)

    def walk(self, steps: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        """Go through steps [steps, in, batch] from a hidden state and a cell [width, batch].

        Returns:
            (hidden states after each step [steps, width, batch], the last cell).
        """
        count, _, batch = steps.shape
        joined = steps.new_empty(count + 1, self.weight.size(1), batch)
        joined[:-1, : self.inputs] = steps
        states = joined[:, self.inputs :]
        states[0] = hidden
        twice = (2 * cell).contiguous()
        squashed, gates = torch.empty_like(twice), steps.new_empty(len(self.bias), batch)
        bias, (taken, kept, shown, new) = self.bias.expand(-1, batch), gates.chunk(4)
        for step, state in zip(joined[:-1].unbind(0), states[1:].unbind(0), strict=True):
            torch.addmm(bias, self.weight, step, out=gates).sigmoid_()
            twice.mul_(kept).addcmul_(taken, new, value=4).sub_(taken, alpha=2)
            torch.sigmoid(twice, out=squashed)
            torch.mul(squashed, shown, out=state).mul_(2).sub_(shown)
        return states[1:], twice / 2


def _left(weights: Sequence[Tensor]) -> float:
    """Fraction that is not zero, of every so many rows: counting all would cost as much as some products."""
    some = [w[:: max(1, w.numel() // _COUNTED)] for w in weights]
    return sum(int(w.count_nonzero()) for w in some) / max(1, sum(w.numel() for w in some))


class CsrLstm:
    """``nn.LSTM`` of one direction, not batch first, without dropout: as in evaluation.

    Args:
        lstm: the module.
    """

    def __init__(self, lstm: nn.LSTM):
        self._whole = lstm.all_weights
        self._width, self._inputs = lstm.hidden_size, lstm.input_size

    @cached_property
    def left(self) -> float:
        """Fraction of the matrices of all layers that is not zero, about."""
        return _left([part for w in self._whole for part in w[:2]])

    @cached_property
    def _layers(self):
        return [_Gates(w[0], w[1], w[2:]) for w in self._whole]

    def takes(self, x: Tensor) -> bool:
        """True for batches of sequences of the layer's width."""
        return x.dim() == 3 and x.size(2) == self._inputs and x.numel() > 0

    def rows(self, x: Tensor) -> int:
        """Rows of each product (count): the batch, as steps come one after the other."""
        return x.size(1)

    def sample(self, x: Tensor) -> Tensor:
        """The first steps of an input, to be timed."""
        return x[:_STEPS]

    def __call__(self, x: Tensor, state: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """As the module's: x [steps, batch, in]; state each [layers, batch, width]."""
        if state is None:
            zeros = x.new_zeros(len(self._layers), x.size(1), self._width)
            state = zeros, zeros
        steps, ends = x.transpose(1, 2), []
        for layer, hidden, cell in zip(self._layers, *state, strict=True):
            steps, cell = layer.walk(steps, hidden.t(), cell.t())
            ends.append((steps[-1], cell))
        hiddens, cells = (torch.stack(parts).transpose(1, 2).contiguous() for parts in zip(*ends, strict=True))
        return steps.transpose(1, 2), (hiddens, cells)


class CsrLstmCell:
    """``nn.LSTMCell``.

    Args:
        cell: the module.
    """

    def __init__(self, cell: nn.LSTMCell):
        self._cell, self._inputs = cell, cell.input_size

    @cached_property
    def left(self) -> float:
        """Fraction of both matrices that is not zero, about."""
        return _left([self._cell.weight_ih, self._cell.weight_hh])

    @cached_property
    def _gates(self):
        cell = self._cell
        biases = [bias for bias in (cell.bias_ih, cell.bias_hh) if bias is not None]
        return _Gates(cell.weight_ih, cell.weight_hh, biases)

    def takes(self, x: Tensor) -> bool:
        """A batch."""
        return x.dim() == 2 and x.size(1) == self._inputs and x.numel() > 0

    def rows(self, x: Tensor) -> int:
        """The batch."""
        return len(x)

    def sample(self, x: Tensor) -> Tensor:
        """All of it."""
        return x

    def __call__(self, x: Tensor, state: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        """As the module's: x [batch, in]; state each [batch, width]."""
        if state is None:
            zeros = x.new_zeros(len(x), self._cell.hidden_size)
            state = zeros, zeros
        states, cell = self._gates.walk(x.t()[None], state[0].t(), state[1].t())
        return states[0].t(), cell.t()


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
