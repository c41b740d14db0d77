"""What kinds of devices pay for."""

from torch import Tensor

HOSTS = {"cpu"}  # they pay for arithmetic; all others for every launch of a kernel, and for results that are waited for


def on_host(tensor: Tensor) -> bool:
    """True where fewer operations on elements are worth more launches, and looking at a result costs nothing."""
    return tensor.device.type in HOSTS
