"""Weighted layer normalisation by torch's own kernel, for devices where launches are what costs."""

from typing import NamedTuple

import torch
from torch import Tensor


class Shared(NamedTuple):
    """Tensors that a norm needs besides its parameters; all norms of a stream share the first three.

    Args:
        weights: w, of its dimensions, [width, 1].
        sides: +s and -s, s = sqrt(width w), [2, width].
        shares: width w, [width].
        spread: the norm's scale / s, [width].
        rest: its scale times 1 - width w, [width].
    """

    weights: Tensor
    sides: Tensor
    shares: Tensor
    spread: Tensor
    rest: Tensor


def shared_by(weights: Tensor, scales: list[Tensor]) -> list[Shared]:
    """Compute what all norms of a stream share, and what each has of its own.

    Args:
        weights: shares of its dimensions in the moments, float [width]; they sum to 1, or to 0.
        scales: of each norm, float [width], 0 where the weight is.
    """
    shares = weights * len(weights)
    side = shares.clamp_min(torch.finfo(shares.dtype).tiny).sqrt()
    spreads = torch._foreach_mul(scales, [side.reciprocal()] * len(scales))
    rests = torch._foreach_mul(scales, [1 - shares] * len(scales))
    stream = weights.unsqueeze(1), torch.stack([side, -side]), shares
    return [Shared(*stream, *own) for own in zip(spreads, rests, strict=True)]


class SidedLayerNorm(torch.autograd.Function):
    """Layer normalisation with weighted moments: four launches forwards and four backwards.

    Put on both sides of the weighted mean m, as m + s (x - m) and m - s (x - m), features have plain moments that are
    the weighted ones of x, so torch's kernel finds these and normalises. Its backward pass, given them, is right but
    for counting all dimensions alike in the gradient of x: with u = dy * scale and torch's d, that is
    (width w) d + (1 - width w) u / deviation.
    """

    @staticmethod
    def forward(ctx, x, scale, shift, shared, eps):
        mean = x @ shared.weights
        sided = torch.lerp(mean.unsqueeze(-2), x.unsqueeze(-2), shared.sides)
        normed, mean, inverse = torch.native_layer_norm(sided, shared.sides.shape, None, None, eps)
        ctx.save_for_backward(x, mean.squeeze(-1), inverse.squeeze(-1), scale, shift, shared.shares, shared.rest)
        return torch.addcmul(shift, normed[..., 0, :], shared.spread)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        x, mean, inverse, scale, shift, shares, rest = ctx.saved_tensors
        grad_x, *of_parameters = torch.ops.aten.native_layer_norm_backward(
            grad, x, scale.shape, mean, inverse, scale, shift, [True, True, True]
        )
        grad_x.mul_(shares).addcmul_(grad * inverse, rest)
        return grad_x, *of_parameters, None, None
