"""The Hoyer-square regulariser: Yang et al., ICLR 2020 (arXiv:1908.09979), eqs. 2 and 6."""

import torch
from torch import Tensor


def hoyer_square(norms: Tensor) -> Tensor:
    """How evenly size is spread over units, whatever the scale.

    Args:
        norms: of units, float [..., units], >= 0, not all 0; of single weights their absolute values.

    Returns:
        float tensor [...], from 1 (one unit has all) to the number of units (all are equal).
    """
    return norms.sum(-1).square() / norms.square().sum(-1)


def hoyer_step(norms: Tensor, size: float) -> Tensor:
    """Factors of units in a step down the regulariser's gradient.

    It shrinks norms below sum n^2 / sum n, at most to 0, and lets those above grow. Source: the gradient is the
    paper's; ours that units stop at 0, and that all are rescaled to the norm that they had together, as an infinitely
    small step does.

    Args:
        norms: as in :func:`hoyer_square`, each row by itself, but all may be 0.
        size: of the step, learning rate times weight.

    Returns:
        float tensor [..., units], >= 0; 1 for units that are zero.
    """
    total, squares = norms.sum(-1, keepdim=True), norms.square().sum(-1, keepdim=True)
    left = (1 - size * 2 * (total / squares) * (1 / norms - total / squares)).clamp(min=0)
    left = torch.where(norms > 0, left, torch.ones_like(norms))
    return left * (squares / (norms * left).square().sum(-1, keepdim=True)).sqrt().nan_to_num(1.0)
