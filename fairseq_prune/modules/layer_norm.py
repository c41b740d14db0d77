"""Layer normalisation that ignores removed dimensions."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .connectivity import Connectivity, Products
from .sided_norm import Shared, SidedLayerNorm


def dimension_weights(c: Tensor) -> Tensor:
    """Share of each dimension in the moments: ``c`` over its sum (0 where all are 0)."""
    return c / c.sum().clamp_min(torch.finfo(c.dtype).tiny)


def weighted_moments(x: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Centre features and take their variance, each dimension with its weight.

    Args:
        x: float tensor [..., width].
        weights: of :func:`dimension_weights`, float tensor [width].

    Returns:
        (``x`` minus its mean, variance [..., 1]).
    """
    centred = x - x @ weights.unsqueeze(1)
    return centred, centred.square() @ weights.unsqueeze(1)


class _WeightedLayerNorm(torch.autograd.Function):
    """Weighted layer normalisation in few passes over memory; connectivity gets no gradient.

    With dimension weights w, normalised features z and upstream gradient u = dy * scale:
    dx = (u - w sum(u) - z w sum(u z)) / deviation.
    """

    @staticmethod
    def forward(ctx, x, scale, shift, c, eps):
        rows = x.reshape(-1, x.size(-1))
        weights = dimension_weights(c)
        normed, variance = weighted_moments(rows, weights)
        inverse = torch.rsqrt(variance + eps)
        normed *= inverse
        ctx.save_for_backward(normed, inverse, scale, weights)
        return torch.addcmul(shift, normed, scale).view(x.shape)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        normed, inverse, scale, weights = ctx.saved_tensors
        rows = grad.reshape(normed.shape)
        product = rows * normed
        total, along = rows.mv(scale).unsqueeze(1), product.mv(scale).unsqueeze(1)
        grad_scale, grad_shift = product.sum(0), rows.sum(0)
        grad_x = torch.mul(normed, along, out=product).add_(total).mul_(-weights)
        grad_x.addcmul_(rows, scale).mul_(inverse)
        return grad_x.view(grad.shape), grad_scale, grad_shift, None, None


def padded_moments(x: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """Centre features and take their variance as if they were padded with zeros.

    Args:
        x: float tensor [..., present width].
        width: to which they are padded (count).

    Returns:
        (``x`` minus its mean, variance [..., 1]).
    """
    mean = x.sum(-1, keepdim=True) / width
    centred = x - mean
    padding = (width - x.size(-1)) * mean.square()
    return centred, (centred.square().sum(-1, keepdim=True) + padding) / width


class ConnectedLayerNorm(nn.Module):
    r"""Layer normalisation times connectivity: :math:`c\,(g\,(x - \mu) / \sqrt{\sigma^2 + \epsilon} + b)`.

    Source: SRP's weighted layer normalisation. Difference: :math:`\epsilon` is added to the variance
    as in torch, not to the standard deviation, so that at c = 1 it is torch's layer norm.

    Args:
        norm: the ``nn.LayerNorm`` whose parameters it takes over.
        connectivity: of the residual stream.

    Attributes:
        weighted: True: dimensions count in the moments by their c. False (SRP's plain mode): the
            vector times c is normalised as if padded to its original width. After a cut these are
            different functions.
        shared: what it needs to normalise in few launches, as long as its parameters hold their products with c.
    """

    def __init__(self, norm: nn.LayerNorm, connectivity: Connectivity):
        super().__init__()
        self.weight, self.bias, self.eps = norm.weight, norm.bias, norm.eps
        self.original_width = self.weight.numel()
        self.weighted = True
        self.shared: Shared | None = None
        self._connectivity = connectivity

    def multiplied(self) -> Products:
        """The parameters that the connectivity multiplies, and along which axis."""
        return [(self.weight, self._connectivity, 0), (self.bias, self._connectivity, 0)]

    def reads(self, connectivity: Connectivity) -> bool:
        """True if it is that of its stream."""
        return self._connectivity is connectivity

    def forward(self, x: Tensor) -> Tensor:
        """Normalise ``x`` [..., width]."""
        c = self._connectivity.active
        if c is None and (self.weighted or self.weight.numel() == self.original_width):
            return F.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps)
        with torch.autocast(x.device.type, enabled=False):
            return self._normalise(x if x.dtype == torch.float64 else x.float(), c).to(x.dtype)

    def _normalise(self, x, c):
        c = torch.ones_like(x[(0,) * (x.dim() - 1)]) if c is None else c.to(x.dtype)
        scale, shift = (self._connectivity.scale_weight(p.to(x.dtype), 0) for p in (self.weight, self.bias))
        if self.shared is not None:
            return SidedLayerNorm.apply(x, scale, shift, self.shared, self.eps)
        if self.weighted and not c.requires_grad:
            return _WeightedLayerNorm.apply(x, scale, shift, c, self.eps)
        if self.weighted:
            centred, variance = weighted_moments(x, dimension_weights(c))
        else:
            centred, variance = padded_moments(x * c, self.original_width)
        return torch.addcmul(shift, centred * torch.rsqrt(variance + self.eps), scale)
