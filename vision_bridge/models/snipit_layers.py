"""What the nets of SNIP-it (Verdenius et al. 2020) have in common: activation, head and initialisation."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise

from torch import nn
from torch.nn import functional as F

from .residual import Net

SLOPE = 0.05
leaky = partial(F.leaky_relu, negative_slope=SLOPE)


def active(norm: Callable[[int], nn.Module] | None, width: int) -> list[nn.Module]:
    """List of modules: batch norm, if its class ``norm`` is given, and the activation."""
    return [*([norm(width)] if norm else []), nn.LeakyReLU(SLOPE)]


def head(
    widths: Sequence[int], norm: Callable[[int], nn.Module] | None, dropout: float, drops_input: bool = True
) -> nn.Sequential:
    """Linear layers, each with dropout before it.

    Args:
        widths: of the input, the hidden layers and the output.
        norm: class of the hidden layers' batch norms, or None.
        dropout: probability.
        drops_input: put dropout before the first layer, too.

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
    """Initialise all weights orthogonally, scaled for the activation except in the last layer; returns the net."""
    *hidden, last = (module for module in net.modules() if isinstance(module, nn.Conv2d | nn.Linear))
    for module in hidden:
        nn.init.orthogonal_(module.weight, nn.init.calculate_gain("leaky_relu", SLOPE))
    nn.init.orthogonal_(last.weight)
    return net
