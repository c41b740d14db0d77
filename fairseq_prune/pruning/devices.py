"""Kinds of devices, by what is slow on them."""

from torch import Tensor

HOSTS = {"cpu"}  # here arithmetic takes time; on all others launches of kernels do, and waiting for results


def on_host(tensor: Tensor) -> bool:
    """True where more launches pay if they save arithmetic, and where looking at a result costs nothing."""
    return tensor.device.type in HOSTS
