"""Replacements for other libraries' layers that can lose channels."""

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from fairseq_prune.modules.partial_norm import PartialLayerNorm
from fairseq_prune.pruning.surgery.cut import SIZES


class PartialLayerNorm2d(PartialLayerNorm):
    """The same for channels on the second axis, as in ConvNeXt."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the channels of x, float [batch, channels, height, width]."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class SelfAttention(nn.MultiheadAttention):
    """torch's self-attention; its heads can be cut, and so can the channels that it reads and writes.

    While nothing is cut, it is torch's own. After a cut, keys are not masked and weights are not returned.
    """

    def forward(self, query: Tensor, *others: Any, **options: Any) -> tuple[Tensor, Tensor | None]:
        """Attend.

        Args:
            query: float [batch, tokens, channels]; also used as keys and values.
            others, options: torch's other arguments.

        Returns:
            (float tensor shaped like ``query``, None or torch's attention weights).
        """
        if self.in_proj_weight.shape == (3 * self.embed_dim, self.embed_dim):
            return super().forward(query, *others, **options)
        parts = F.linear(query, self.in_proj_weight, self.in_proj_bias).unflatten(-1, (3, self.num_heads, -1))
        queries, keys, values = parts.movedim(2, 0).transpose(2, 3)  # [batch, heads, tokens, width of a head]
        dropped = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(queries, keys, values, dropout_p=dropped)
        return F.linear(mixed.transpose(1, 2).flatten(2), self.out_proj.weight, self.out_proj.bias), None


@SIZES.add("self-attention")
def follow_shapes(layer: nn.Module) -> None:
    """Update the sizes that attention stores."""
    if isinstance(layer, SelfAttention):
        layer.embed_dim, width = layer.out_proj.weight.shape
        layer.kdim = layer.vdim = layer.embed_dim
        layer.num_heads = width // layer.head_dim


def make_divisible(net: nn.Module) -> None:
    """Replace a net's norms and attention by ones that can lose channels; parameters stay the same objects.

    Args:
        net: e.g. one of torchvision's; ViT, which stores its width, now reads it from its weights.
    """
    for parent in list(net.modules()):
        for name, child in list(parent.named_children()):
            if ours := _ours(child):
                setattr(parent, name, ours)
    if hasattr(net, "conv_proj") and hasattr(net, "hidden_dim"):
        net.register_forward_pre_hook(_as_wide_as_its_weights)


def _as_wide_as_its_weights(net, inputs):
    net.hidden_dim = len(net.conv_proj.weight)


def _ours(module: nn.Module) -> nn.Module | None:
    """The replacement of a module, with the same parameters; None for modules that stay."""
    ours: nn.Module
    if isinstance(module, nn.LayerNorm) and module.weight is not None and module.bias is not None:
        kind = PartialLayerNorm if type(module) is nn.LayerNorm else _KINDS.get(type(module).__name__)
        if kind is None or len(module.normalized_shape) > 1:
            return None
        ours = kind(list(module.normalized_shape), module.eps, device="meta")
    elif type(module) is nn.MultiheadAttention and module.batch_first and module.in_proj_weight is not None:
        ours = SelfAttention(module.embed_dim, module.num_heads, module.dropout, batch_first=True, device="meta")
        ours.out_proj = module.out_proj
    else:
        return None
    for name, parameter in module.named_parameters(recurse=False):
        setattr(ours, name, parameter)
    return ours.train(module.training)


_KINDS = {"LayerNorm2d": PartialLayerNorm2d}  # torchvision's; by name, so that torchvision need not be imported
