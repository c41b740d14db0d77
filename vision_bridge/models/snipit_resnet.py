"""ResNet-18 and -34 as in SNIP-it (Verdenius et al. 2020): with a stem for large images and a hidden layer."""

from collections.abc import Sequence
from functools import partial

from torch import nn

from .nets import NetSpec, add_net
from .residual import BasicBlock, ResNet, stages
from .snipit_layers import head, leaky, orthogonal

COUNTS = {"resnet18_snip": (2, 2, 2, 2), "resnet34_snip": (3, 4, 6, 3)}
WIDTHS = 64, 128, 256, 512


def snipit_resnet(spec: NetSpec, counts: Sequence[int]) -> ResNet:
    """A 7x7 stem with max pooling, four stages of 3x3 convolutions with a bias, pooling to 2x2, 256 hidden units."""
    layers = stages(partial(BasicBlock, bias=True, act=leaky), 64, WIDTHS, counts)
    fc = head([WIDTHS[-1] * 4, 256, spec.classes], nn.BatchNorm1d, 0.3 if spec.dropout is None else spec.dropout)
    conv1 = nn.Conv2d(spec.channels, 64, 7, 2, padding=3, bias=False)
    return orthogonal(ResNet(conv1, layers, fc, nn.MaxPool2d(3, 2, padding=1), leaky, cells=2))


for _name, _counts in COUNTS.items():
    add_net(_name, partial(snipit_resnet, counts=_counts), optional=["dropout"])
