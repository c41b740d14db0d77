"""The order of a weight's axes: outputs first, then inputs, then the taps of a kernel."""

from torch import nn
from torch.nn.modules.conv import _ConvTransposeNd


def output_input_axes(module: nn.Module, dim: int) -> tuple[int, ...] | None:
    """How to permute a layer's weight to (outputs, inputs, taps...).

    Args:
        module: the layer; fairseq's ``ConvTBC`` [taps, inputs, outputs] is known by its name.
        dim: axes of its weight (count).

    Returns:
        tuple of axes for ``Tensor.permute``; None where they are in that order already.
    """
    if type(module).__name__ == "ConvTBC" and dim == 3:
        return 2, 1, 0
    if isinstance(module, _ConvTransposeNd):
        return 1, 0, *range(2, dim)
    return None


def undo(axes: tuple[int, ...]) -> tuple[int, ...]:
    """The permutation that undoes one (tuple of axes)."""
    return tuple(axes.index(i) for i in range(len(axes)))
