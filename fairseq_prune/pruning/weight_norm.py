"""Weight normalisation: Salimans & Kingma 2016 (arXiv:1602.07868), eq. 2, w = g v / |v|.

The stored tensors are a direction v and a scale g; fairseq's ``fconv`` uses it everywhere. What
counts for pruning is w. A mask on v removes elements of w, but v / |v| is undefined where a whole
slice of v is removed: there the scale is masked instead, and v keeps its (then unused) direction.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils.weight_norm import WeightNorm, norm_except_dim


@dataclass(frozen=True, eq=False)
class WeightNormScale:
    """The scale g of a direction v.

    Args:
        name: parameter name of g.
        parameter: g, of v's shape with every axis but ``dim`` reduced to 1.
        dim: the axis of v that keeps its own norms; None or -1 for one norm over all.
    """

    name: str
    parameter: torch.nn.Parameter
    dim: int | None

    def norm(self, direction: Tensor) -> Tensor:
        """|v| over all axes but ``dim``, shaped like g."""
        return norm_except_dim(direction, 2, -1 if self.dim is None else self.dim)

    def effective(self, direction: Tensor) -> Tensor:
        """w = g v / |v|, shaped like v."""
        return direction * (self.parameter.detach() / self.norm(direction))

    def split_mask(self, keep: Tensor) -> tuple[Tensor, Tensor]:
        """Express a mask of w by masks of v and g.

        Args:
            keep: bool, shape of v; True = keep.

        Returns:
            ``(keep_v, keep_g)``: their product is ``keep``, and no slice of ``keep_v`` is empty.
        """
        alive = self.norm(keep.float()) > 0
        return keep | ~alive, alive

    def shrinkage(self, direction: Tensor, keep_direction: Tensor) -> Tensor:
        """|v masked| / |v|, shaped like g; times g, the surviving elements of w stay as they are."""
        return self.norm(direction * keep_direction) / self.norm(direction)


def find_scales(model: nn.Module) -> dict[str, WeightNormScale]:
    """Scales of all weight-normalised parameters.

    Args:
        model: ``nn.Module`` that may use ``torch.nn.utils.weight_norm``.

    Returns:
        dict of direction name (``...weight_v``) -> :class:`WeightNormScale`.
    """
    scales = {}
    for path, module in model.named_modules():
        for hook in module._forward_pre_hooks.values():
            if isinstance(hook, WeightNorm):
                stem = f"{path}.{hook.name}" if path else hook.name
                scale = getattr(module, f"{hook.name}_g")
                scales[f"{stem}_v"] = WeightNormScale(f"{stem}_g", scale, hook.dim)
    return scales
