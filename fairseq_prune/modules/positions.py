"""Sinusoidal positions for the remaining dimensions."""

from typing import Any

from fairseq.modules import SinusoidalPositionalEmbedding
from torch import Tensor, nn


class SelectedPositions(SinusoidalPositionalEmbedding):
    """The sinusoidal table of the original width, with only the surviving columns given out.

    Args:
        positions: fairseq's table, which it stands in for.
        side: the encoder or decoder, whose buffer ``pos_emb_mask`` (int64 tensor [present width])
            lists the original dimensions that survive.
    """

    def __init__(self, positions: SinusoidalPositionalEmbedding, side: nn.Module):
        super().__init__(positions.embedding_dim, positions.padding_idx, init_size=len(positions.weights))
        self.max_positions = positions.max_positions
        self._side = (side,)  # in a tuple it is no submodule

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        """As fairseq's, [batch, length, present width]."""
        survivors = self._side[0].get_buffer("pos_emb_mask")
        positions = super().forward(*args, **kwargs)
        return positions if len(survivors) == self.embedding_dim else positions[..., survivors]
