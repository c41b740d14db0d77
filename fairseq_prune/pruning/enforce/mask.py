"""Hard masks."""

from torch import Tensor


def mask_tensor(tensor: Tensor, keep: Tensor) -> None:
    """Zero the removed elements in place.

    Args:
        tensor: any float dtype; parameters by their ``data``.
        keep: bool, same shape; True = keep.
    """
    tensor.mul_(keep)
