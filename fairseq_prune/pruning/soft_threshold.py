"""Group lasso's proximal step: Yuan & Lin 2006; Parikh & Boyd 2014, section 6.5.4."""

import torch
from torch import Tensor


def block_soft_threshold(norms: Tensor, sizes: Tensor, step: float | Tensor) -> Tensor:
    """Factors of units: ``max(0, 1 - step sqrt(size) / norm)``, which takes ``step`` off the root mean square.

    Args:
        norms: of units, L2, float [units], >= 0.
        sizes: weights of each unit, [units].
        step: learning rate times weight of the regulariser, float or tensor [].

    Returns:
        float [units], in [0, 1]; exactly 0 where the root mean square is at most ``step``.

    Example:
        >>> block_soft_threshold(torch.tensor([2.0, 1.0, 0.0]), torch.tensor([4.0, 4.0, 4.0]), 0.5)
        tensor([0.5000, 0.0000, 0.0000])
    """
    return torch.where(norms > 0, (1 - step * sizes.sqrt() / norms).clamp(min=0), 0.0)


def last_to_leave(sizes: Tensor, count: int) -> Tensor:
    """The step that takes so many units to exactly zero at once, and no more but for rounding.

    Args:
        sizes: root mean squares of units, float [units], >= 0.
        count: of units, at most all.

    Returns:
        Tensor []; 0 where the count is.

    Example:
        >>> last_to_leave(torch.tensor([3.0, 1.0, 2.0]), 2)
        tensor(2.0000)
    """
    if not count:
        return sizes.new_zeros(())
    return sizes.kthvalue(count).values * (1 + 8 * torch.finfo(sizes.dtype).eps)
