"""ShuffleNetV2 of width 1 (Ma et al. 2018) with a stem for small images: 1x1, stride 1, no pooling."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .nets import NetSpec, add_net

STAGES = (116, 4), (232, 8), (464, 4)  # channels, units


def _conv(inputs, outputs, kernel=1, stride=1, groups=1, act=True):
    """Convolution, batch norm and ReLU."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), *([nn.ReLU()] if act else []))


def _branch(inputs, outputs, stride):
    return nn.Sequential(
        _conv(inputs, outputs), _conv(outputs, outputs, 3, stride, groups=outputs, act=False), _conv(outputs, outputs)
    )


def shuffle(x: Tensor) -> Tensor:
    """Interleave the first half of the channels with the second; x [batch, channels, height, width]."""
    batch, channels, height, width = x.shape
    return x.reshape(batch, 2, channels // 2, height, width).transpose(1, 2).reshape(batch, channels, height, width)


class Unit(nn.Module):
    """Half of the channels pass unchanged; the other half go through the branch."""

    def __init__(self, width: int):
        super().__init__()
        self.branch = _branch(width // 2, width // 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        passing, rest = x.chunk(2, dim=1)
        return shuffle(torch.cat([passing, self.branch(rest)], dim=1))


class DownUnit(nn.Module):
    """Halves height and width: all channels go through the branch and through a shorter one."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        half = outputs // 2
        self.short = nn.Sequential(_conv(inputs, inputs, 3, 2, groups=inputs, act=False), _conv(inputs, half))
        self.branch = _branch(inputs, half, 2)

    def forward(self, x: Tensor) -> Tensor:
        return shuffle(torch.cat([self.short(x), self.branch(x)], dim=1))


class ShuffleNet(nn.Module):
    """A stem of width 24, three stages, a 1x1 convolution to 1024, global average pooling and a linear head."""

    def __init__(self, spec: NetSpec):
        super().__init__()
        self.stem = _conv(spec.channels, 24)
        inputs, units = 24, []
        for width, count in STAGES:
            units += [DownUnit(inputs, width), *(Unit(width) for _ in range(count - 1))]
            inputs = width
        self.units = nn.Sequential(*units)
        self.last = _conv(inputs, 1024)
        self.fc = nn.Linear(1024, spec.classes)

    def forward(self, image: Tensor) -> Tensor:
        x = self.last(self.units(self.stem(image)))
        return self.fc(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))


add_net("shufflenetv2", ShuffleNet)
