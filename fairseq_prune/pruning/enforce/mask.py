"""Hard masks."""


def mask_tensor(tensor, keep):
    """Zero the removed elements in place.

    Args:
        tensor: any float dtype; parameters by their ``data``.
        keep: bool, same shape; True = keep.
    """
    tensor.mul_(keep)
