"""A linear net of seven layers, GReg's ``mlp_7_linear`` (Wang et al. 2021)."""

from itertools import pairwise

from torch import nn

from .nets import NetSpec, add_net


def mlp7_linear(spec: NetSpec) -> nn.Module:
    """Six layers of width 100 and the output layer, without activations."""
    widths = [spec.channels * spec.size**2, *[100] * 6, spec.classes]
    return nn.Sequential(nn.Flatten(), *(nn.Linear(*pair) for pair in pairwise(widths)))


add_net("mlp7_linear", mlp7_linear)
