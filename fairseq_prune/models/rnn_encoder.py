"""The encoder of the recurrent translation models."""

from typing import NamedTuple

import torch
from fairseq.models import FairseqEncoder
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

ROWS_LEFT_OUT = 2  # fairseq's dictionaries begin <s> <pad> </s> <unk>; two of them are never looked up


class EncoderOut(NamedTuple):
    """An encoded batch, words at the left.

    Args:
        states: float tensor [batch, length, width], zero where there is no word.
        final: tuple of float tensors [layers, batch, width], the last hidden state of each layer and,
            of an LSTM, its cell; both directions side by side.
        padding: bool tensor [batch, length], True = no word.
        order: int64 tensor [batch, source length], a permutation: state j is of the source token order[j].
    """

    states: Tensor
    final: tuple[Tensor, ...]
    padding: Tensor
    order: Tensor


class RnnEncoder(FairseqEncoder):
    """Embedding and recurrent layers over the words of the source, wherever its padding is.

    fairseq-preprocess ends source sentences with ``</s>``. The models of Li et al. 2022 had neither
    ``</s>`` nor ``<s>`` there, so both are dropped from the batch, and the embedding has no rows for
    them: token t is in row ``max(t - 2, 0)``, ``<pad>`` in row 0, ``<unk>`` in row 1. Every row is one
    that the original had, so that its published sizes come out as they are, without rows that
    would have to be left out of each count. An empty sentence is read as one ``<pad>``.

    Args:
        dictionary: the source dictionary.
        rnn: ``nn.GRU`` or ``nn.LSTM``, not batch first.
    """

    def __init__(self, dictionary, rnn):
        super().__init__(dictionary)
        self.embed_tokens = nn.Embedding(len(dictionary) - ROWS_LEFT_OUT, rnn.input_size)
        self.rnn = rnn

    def forward(self, src_tokens, src_lengths=None):
        """Encode a batch.

        Args:
            src_tokens: int64 tensor [batch, source length], padded left or right.
            src_lengths: fairseq's; not needed, the tokens tell.

        Returns:
            :class:`EncoderOut`.
        """
        is_word = src_tokens > self.dictionary.eos()
        order = is_word.logical_not().to(torch.uint8).argsort(dim=1, stable=True)
        lengths = is_word.sum(1).clamp(min=1)
        words = src_tokens.gather(1, order)[:, : lengths.max()]
        embedded = self.embed_tokens((words - ROWS_LEFT_OUT).clamp(min=0)).transpose(0, 1)
        states, final = self.rnn(pack_padded_sequence(embedded, lengths.cpu(), enforce_sorted=False))
        states, _ = pad_packed_sequence(states, batch_first=True)
        final = final if isinstance(final, tuple) else (final,)
        padding = torch.arange(states.size(1), device=lengths.device) >= lengths.unsqueeze(1)
        return EncoderOut(states, tuple(map(self._join_directions, final)), padding, order)

    def _join_directions(self, final):
        """[layers * directions, batch, width of one] -> [layers, batch, width]."""
        return final.unflatten(0, (self.rnn.num_layers, -1)).transpose(1, 2).flatten(2)

    def reorder_encoder_out(self, encoder_out, new_order):
        """Rearrange, repeat or leave out sentences (``new_order``: int64 tensor [new batch])."""
        return EncoderOut(
            encoder_out.states.index_select(0, new_order),
            tuple(final.index_select(1, new_order) for final in encoder_out.final),
            encoder_out.padding.index_select(0, new_order),
            encoder_out.order.index_select(0, new_order),
        )
