"""torch's layer normalisation over the remaining channels."""

from typing import Any

import torch
from torch import Tensor, nn

from ..pruning.surgery.cut import SIZES
from .layer_norm import dimension_weights, weighted_moments


class PartialLayerNorm(nn.LayerNorm):
    """Layer normalisation that leaves removed channels out.

    A channel is removed if scale and shift are both zero: then the others are normalised as if it were not there, as
    they are once it is cut out. Torch's own as long as all are there.

    Attributes:
        partial: some may be removed; set with masks and with weights.
    """

    partial = False

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the last axis of x, float [..., channels]."""
        if not self.partial:
            return super().forward(x)
        with torch.autocast(x.device.type, enabled=False):
            x = x.to(self.weight.dtype)
            there = (self.weight != 0) | (self.bias != 0)
            centred, variance = weighted_moments(x, dimension_weights(there.to(x.dtype)))
            return centred * torch.rsqrt(variance + self.eps) * self.weight + self.bias

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        found = [state_dict[prefix + part] for part in ("weight", "bias") if prefix + part in state_dict]
        if len(found) == 2:
            gone = (found[0] == 0) & (found[1] == 0)
            self.partial = bool(gone.any()) and not bool(gone.all())
        super()._load_from_state_dict(state_dict, prefix, *args)


@SIZES.add("partial layer norm")
def follow_shape(layer: nn.Module) -> None:
    """Set the shape that a layer norm keeps as an attribute."""
    if isinstance(layer, PartialLayerNorm):
        layer.normalized_shape = tuple(layer.weight.shape)


def look_for_absent(model: nn.Module, look: bool) -> None:
    """Have the layer norms of a model look for removed channels, as masks remove some, or no longer."""
    for module in model.modules():
        if isinstance(module, PartialLayerNorm):
            module.partial = look
