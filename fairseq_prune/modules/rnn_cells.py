"""Recurrent cells that take the product of their input instead of the input."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class GruCell(nn.GRUCell):
    """torch's GRU cell; its state is ``(hidden [batch, width],)``.

    A decoder knows the embeddings among its inputs for all steps at once when it is taught: what they
    contribute is multiplied beforehand, outside of the loop over steps.
    """

    def advance(self, gates: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """One step.

        Args:
            gates: float tensor [batch, 3 width], ``W_ih x + b_ih`` of the input x.
            state: as above.

        Returns:
            The next state.
        """
        (hidden,) = state
        parts = [2 * self.hidden_size, self.hidden_size]  # reset and update; candidate
        given, given_new = gates.split(parts, 1)
        recurrent, recurrent_new = F.linear(hidden, self.weight_hh, self.bias_hh).split(parts, 1)
        reset, update = (given + recurrent).sigmoid().chunk(2, 1)
        new = torch.addcmul(given_new, reset, recurrent_new).tanh()
        return (torch.lerp(new, hidden, update),)


class LstmCell(nn.LSTMCell):
    """torch's LSTM cell, likewise; its state is ``(hidden [batch, width], cell [batch, width])``."""

    def advance(self, gates: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """One step, as :meth:`GruCell.advance`; ``gates`` are [batch, 4 width]."""
        hidden, cell = state
        gates = gates + F.linear(hidden, self.weight_hh, self.bias_hh)
        taken, kept, new, shown = gates.chunk(4, 1)
        cell = torch.addcmul(kept.sigmoid() * cell, taken.sigmoid(), new.tanh())
        return shown.sigmoid() * cell.tanh(), cell
