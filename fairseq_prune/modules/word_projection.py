"""The output layer of a language model whose dictionary begins with words that never occur."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

ABSENT = 2  # <s> and <pad> come first in every dictionary of fairseq
IMPOSSIBLE = -1e4  # exp() is 0 in every precision; -inf times a label smoothing of 0 would be nan


class WordProjection(nn.Linear):
    """Scores of the whole dictionary in its order; the absent words have no rows and are impossible."""

    def joined(self) -> tuple[Tensor, Tensor]:
        """Weight [rows + absent, in] and bias [rows + absent] with the absent words.

        Joined, for F.pad fills the whole before it copies, forwards and backwards.
        """
        no_weights = self.weight.new_zeros(ABSENT, self.weight.size(1))
        no_biases = self.bias.new_full((ABSENT,), IMPOSSIBLE)
        return torch.cat([no_weights, self.weight]), torch.cat([no_biases, self.bias])

    def forward(self, features: Tensor) -> Tensor:
        """Scores [..., rows + absent] of features [..., in]."""
        return F.linear(features, *self.joined())
