"""The decoder of the recurrent translation models: stacked cells with attention and input feeding."""

from typing import Any, NamedTuple

import torch
from fairseq.models import FairseqIncrementalDecoder
from fairseq.modules import FairseqDropout
from torch import Tensor, nn
from torch.nn import functional as F


class Progress(NamedTuple):
    """What the next step of a batch of hypotheses depends on.

    Args:
        states: for each layer, the tuple of tensors [batch, width] that its cell keeps.
        feed: float tensor [batch, width], the attentional output of the step before; at first zero.
        keys: float tensor [batch, source length, width], what attention makes of the encoder's states.
    """

    states: tuple[tuple[Tensor, ...], ...]
    feed: Tensor
    keys: Tensor

    def select(self, rows: Tensor) -> "Progress":
        """The same of chosen hypotheses (int64 tensor [new batch])."""
        states = tuple(tuple(tensor.index_select(0, rows) for tensor in state) for state in self.states)
        return Progress(states, self.feed.index_select(0, rows), self.keys.index_select(0, rows))


class RnnDecoder(FairseqIncrementalDecoder):
    """Embedding, stacked cells, attention, and a linear layer to the vocabulary.

    The first cell reads ``[embedding; attentional output of the step before]`` (input feeding). Each
    layer starts from the final state of the encoder's layer beside it. Dropout falls between layers
    and on attentional outputs, nowhere else.

    Args:
        dictionary: the target dictionary.
        cells: list of :class:`~fairseq_prune.modules.rnn_cells.GruCell` or ``LstmCell``, as many as the
            encoder has layers.
        attention: an :class:`~fairseq_prune.modules.rnn_attention.RnnAttention`.
        dropout: probability.
    """

    def __init__(self, dictionary, cells, attention, dropout):
        super().__init__(dictionary)
        width = cells[0].hidden_size
        self.embed_tokens = nn.Embedding(len(dictionary), cells[0].input_size - width)
        self.layers: Any = nn.ModuleList(cells)
        self.attention = attention
        self.output_projection = nn.Linear(width, len(dictionary))
        self.dropout_module = FairseqDropout(dropout, module_name=type(self).__name__)
        self.need_attn = True

    def forward(self, prev_output_tokens, encoder_out, incremental_state=None, src_lengths=None):
        """Logits [batch, target length, vocabulary] and extra; see :meth:`extract_features`.

        ``src_lengths`` is part of fairseq's interface and not read.
        """
        features, extra = self.extract_features(prev_output_tokens, encoder_out, incremental_state)
        return self.output_layer(features), extra

    def extract_features(self, prev_output_tokens, encoder_out, incremental_state=None):
        """All but the generator.

        Args:
            prev_output_tokens: int64 tensor [batch, target length], padded right; only the last column
                is read where ``incremental_state`` knows those before.
            encoder_out: :class:`~.rnn_encoder.EncoderOut`.
            incremental_state: fairseq's cache, a dict.

        Returns:
            (features [batch, target length, width], ``{"attn": [probabilities]}``), probabilities
            [batch, target length, source length] over the source tokens as they were given; None in
            training and in generation without alignment.
        """
        progress = self.get_incremental_state(incremental_state, "progress")
        if progress is None:
            progress = self._begin(encoder_out)
        else:
            prev_output_tokens = prev_output_tokens[:, -1:]
        outputs, attended = [], []
        embedding_gates, feed_weight = self._split_first_product(prev_output_tokens)
        for gates in embedding_gates:
            gates = torch.addmm(gates, progress.feed, feed_weight)
            progress, probabilities = self._step(gates, progress, encoder_out)
            outputs.append(progress.feed)
            attended.append(probabilities)
        self.set_incremental_state(incremental_state, "progress", progress)
        wanted = self.need_attn and not self.training
        attn = _at_source_positions(torch.stack(attended, 1), encoder_out.order) if wanted else None
        return torch.stack(outputs, 1), {"attn": [attn]}

    def output_layer(self, features):
        """Logits [..., vocabulary] of features [..., width]."""
        return self.output_projection(features)

    def _begin(self, encoder_out):
        states = tuple(zip(*(final.unbind(0) for final in encoder_out.final), strict=True))
        top = states[-1][0]
        feed = top.new_zeros(len(top), self.attention.output_proj.out_features)
        return Progress(states, feed, self.attention.keys(encoder_out.states))

    def _split_first_product(self, tokens):
        """``W_ih x + b_ih`` of the first cell in two parts, as x is an embedding and the fed output.

        Returns:
            (the embeddings' part, for each step [batch, gates]; the weight [width, gates] of the other).
        """
        cell, embedded = self.layers[0], self.embed_tokens(tokens.t())
        weight, feed_weight = cell.weight_ih.tensor_split([embedded.size(2)], 1)
        return F.linear(embedded, weight, cell.bias_ih).unbind(0), feed_weight.t()

    def _step(self, gates, progress, encoder_out):
        """One step from the first cell's gates; (:class:`Progress`, probabilities [batch, source words])."""
        states = []
        for cell, state in zip(self.layers, progress.states, strict=True):
            if states:
                gates = F.linear(self.dropout_module(states[-1][0]), cell.weight_ih, cell.bias_ih)
            states.append(cell.advance(gates, state))
        top = states[-1][0]
        output, probabilities = self.attention(top, encoder_out.states, progress.keys, encoder_out.padding)
        return Progress(tuple(states), self.dropout_module(output), progress.keys), probabilities

    def reorder_incremental_state(self, incremental_state, new_order):
        """Rearrange the cache as beam search rearranges hypotheses (``new_order``: int64 tensor [new batch])."""
        progress = self.get_incremental_state(incremental_state, "progress")
        if progress is not None:
            self.set_incremental_state(incremental_state, "progress", progress.select(new_order))

    def make_generation_fast_(self, need_attn=False, **kwargs):
        """fairseq-generate says whether it wants alignments."""
        self.need_attn = need_attn


def _at_source_positions(attended, order):
    """Probabilities of words [batch, target length, words] -> of source tokens, padding and ``</s>`` too."""
    positions = order[:, : attended.size(2)].unsqueeze(1).expand_as(attended)
    return attended.new_zeros(*attended.shape[:2], order.size(1)).scatter(2, positions, attended)
