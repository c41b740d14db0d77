"""fairseq's attention without the heads or dimensions that were cut out."""

from collections.abc import Iterable

import torch
from fairseq.modules import MultiheadAttention
from torch import Tensor, nn

from .attention import AnyWidthAttention


class CutAttention(AnyWidthAttention):
    """fairseq's attention with any number of heads, of any widths.

    fairseq's own insists on heads that fill the width of the stream. So a block is exchanged for this one before it
    loses anything; one that is whole stays fairseq's.

    Args:
        attention: the block whose projections it takes over.

    Attributes:
        heads: buffer, float32 [heads]: the numbers that the heads which stay had in the original block. Floats, as
            tools that average checkpoints expect; only its length counts. Shapes of the projections tell the rest.
    """

    heads: Tensor

    def __init__(self, attention: MultiheadAttention):
        super().__init__(attention)
        device = attention.q_proj.weight.device
        self.register_buffer("heads", torch.arange(attention.num_heads, dtype=torch.float32, device=device))
        self.train(attention.training)

    @property
    def num_heads(self) -> int:  # type: ignore[override]
        """Heads that are left (count)."""
        return len(self.heads)


def let_attention_shrink(model: nn.Module, blocks: Iterable[str]) -> None:
    """Exchange fairseq's attention for one that can be cut; parameters stay the same objects.

    Args:
        model: ``nn.Module``, changed in place.
        blocks: names of modules; those that are not fairseq's attention are passed over.
    """
    modules = dict(model.named_modules())
    for name in blocks:
        if type(modules.get(name)) is MultiheadAttention:
            parent, _, child = name.rpartition(".")
            setattr(modules[parent], child, CutAttention(modules[name]))
