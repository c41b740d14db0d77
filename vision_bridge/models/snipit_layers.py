"""What the nets of SNIP-it (Verdenius et al. 2020) share: activation, head, first weights."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise

from torch import nn
from torch.nn import functional as F

from .residual import Net

SLOPE = 0.05
leaky = partial(F.leaky_relu, negative_slope=SLOPE)


def active(norm: Callable[[int], nn.Module] | None, width: int) -> list[nn.Module]:
    """Batch norm where `norm`, a class or None, is given, then the activation; a list of modules."""
    return [*([norm(width)] if norm else []), nn.LeakyReLU(SLOPE)]


def head(
    widths: Sequence[int], norm: Callable[[int], nn.Module] | None, dropout: float, drops_input: bool = True
) -> nn.Sequential:
    """Linear layers with dropout before each.

    Args:
        widths: of the input, of the hidden layers and of the output.
        norm: class of the hidden layers' batch norms, or None.
        dropout: probability.
        drops_input: there is dropout before the first layer, too.

    Returns:
        ``nn.Sequential``.
    """
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers += active(norm, inputs) if layers else []
        layers += [nn.Dropout(dropout)] if layers or drops_input else []
        layers.append(nn.Linear(inputs, outputs))
    return nn.Sequential(*layers)


def orthogonal(net: Net) -> Net:
    """Make all weights orthogonal, scaled for the activation but in the last layer; returns the net."""
    *hidden, last = (module for module in net.modules() if isinstance(module, nn.Conv2d | nn.Linear))
    for module in hidden:
        nn.init.orthogonal_(module.weight, nn.init.calculate_gain("leaky_relu", SLOPE))
    nn.init.orthogonal_(last.weight)
    return net
