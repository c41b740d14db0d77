"""Attention of a recurrent decoder to the states of its encoder, and what it makes of the context."""

import torch
from torch import Tensor, nn


class RnnAttention(nn.Module):
    """Scores, context and output of one query a sentence; subclasses say how to score.

    Args:
        width: of queries, of encoder states and of outputs (count).
        bias: whether :attr:`output_proj` has one.

    Attributes:
        output_proj: the linear layer that makes the output of ``[context; query]``.
    """

    def __init__(self, width: int, bias: bool):
        super().__init__()
        self.output_proj = nn.Linear(2 * width, width, bias=bias)

    def keys(self, states: Tensor) -> Tensor:
        """What :meth:`scores` needs of the encoder's states [batch, length, width], computed once a sentence.

        Returns:
            float tensor [batch, length, width].
        """
        raise NotImplementedError

    def scores(self, query: Tensor, keys: Tensor) -> Tensor:
        """e [batch, length] of queries [batch, width]."""
        raise NotImplementedError

    def output(self, context_and_query: Tensor) -> Tensor:
        """Attentional output [batch, width] of ``[context; query]`` [batch, 2 width]."""
        return self.output_proj(context_and_query)

    def forward(self, query: Tensor, states: Tensor, keys: Tensor, padding: Tensor) -> tuple[Tensor, Tensor]:
        """Attend.

        Args:
            query: float tensor [batch, width], the decoder's top state q.
            states: float tensor [batch, length, width], the encoder's states h.
            keys: from :meth:`keys` of these states.
            padding: bool tensor [batch, length], True = no word; not all of a row.

        Returns:
            (output [batch, width], probabilities [batch, length]).
        """
        scores = self.scores(query, keys).masked_fill(padding, float("-inf"))
        precision = torch.promote_types(scores.dtype, torch.float32)
        probabilities = scores.softmax(1, dtype=precision).type_as(scores)
        context = torch.bmm(probabilities.unsqueeze(1), states).squeeze(1)
        return self.output(torch.cat([context, query], 1)), probabilities


class MlpAttention(RnnAttention):
    """``e_j = v . tanh(W_q q + b_q + W_c h_j)``, output ``W_o [c; q] + b_o``, without tanh.

    (Bahdanau et al. 2015, as OpenNMT-py has it.) The keys are ``W_c h_j``.
    """

    def __init__(self, width: int):
        super().__init__(width, bias=True)
        self.query_proj = nn.Linear(width, width)
        self.context_proj = nn.Linear(width, width, bias=False)
        self.v = nn.Linear(width, 1, bias=False)

    def keys(self, states: Tensor) -> Tensor:
        return self.context_proj(states)

    def scores(self, query: Tensor, keys: Tensor) -> Tensor:
        return self.v((self.query_proj(query).unsqueeze(1) + keys).tanh()).squeeze(2)


class GeneralAttention(RnnAttention):
    """``e_j = (W_a q) . h_j``, output ``tanh(W_o [c; q])``, no biases (Luong et al. 2015, "general").

    The keys are the states themselves.
    """

    def __init__(self, width: int):
        super().__init__(width, bias=False)
        self.query_proj = nn.Linear(width, width, bias=False)

    def keys(self, states: Tensor) -> Tensor:
        return states

    def scores(self, query: Tensor, keys: Tensor) -> Tensor:
        return torch.bmm(keys, self.query_proj(query).unsqueeze(2)).squeeze(2)

    def output(self, context_and_query: Tensor) -> Tensor:
        return self.output_proj(context_and_query).tanh()
