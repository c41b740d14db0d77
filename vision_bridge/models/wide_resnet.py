"""Wide ResNets with pre-activation: ``wrnD_W`` has depth D = 6n + 4 and is W times as wide as a ResNet.

Source: Zagoruyko and Komodakis 2016.
"""

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .nets import NetSpec, add_net
from .residual import kaiming, stages


class PreActBlock(nn.Module):
    """Batch norm, ReLU and a 3x3 convolution, twice, with a shortcut; dropout before the second convolution.

    If shapes differ, the shortcut is a 1x1 convolution of the block's first activations.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, dropout: float):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        changes = stride > 1 or inputs != outputs
        self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False)) if changes else None

    def forward(self, x: Tensor) -> Tensor:
        active = F.relu(self.bn1(x))
        branch = self.conv2(self.dropout(F.relu(self.bn2(self.conv1(active)))))
        return branch + (x if self.downsample is None else self.downsample(active))


class WideResNet(nn.Module):
    """A 3x3 stem, three stages, batch norm, ReLU, global average pooling and a linear head.

    Args:
        spec: :class:`~vision_bridge.models.nets.NetSpec`.
        blocks: blocks in each stage (count).
        factor: the widths are 16, 32 and 64 times this.
    """

    def __init__(self, spec: NetSpec, blocks: int, factor: int):
        super().__init__()
        widths = [16 * factor, 32 * factor, 64 * factor]
        block = partial(PreActBlock, dropout=spec.dropout or 0)
        self.conv1 = nn.Conv2d(spec.channels, 16, 3, padding=1, bias=False)
        self.layer1, self.layer2, self.layer3 = stages(block, 16, widths, [blocks] * 3)
        self.bn = nn.BatchNorm2d(widths[-1])
        self.fc = nn.Linear(widths[-1], spec.classes)

    def forward(self, image: Tensor) -> Tensor:
        x = self.layer3(self.layer2(self.layer1(self.conv1(image))))
        return self.fc(torch.flatten(F.adaptive_avg_pool2d(F.relu(self.bn(x)), 1), 1))


def wide_resnet(spec: NetSpec, depth: int, factor: int) -> WideResNet:
    return kaiming(WideResNet(spec, (depth - 4) // 6, factor))


for _depth in (16, 40):
    for _factor in (1, 2):
        add_net(f"wrn{_depth}_{_factor}", partial(wide_resnet, depth=_depth, factor=_factor), optional=["dropout"])
