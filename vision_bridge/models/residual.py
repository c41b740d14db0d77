"""What ResNets have in common: the blocks, and the net around the stages."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Block = Callable[[int, int, int], nn.Module]  # (inputs, outputs, stride) -> module
Net = TypeVar("Net", bound=nn.Module)


class ZeroPad(nn.Module):
    """He et al.'s option A, a shortcut without parameters: every stride-th pixel, zeros for missing channels.

    Half of the zeros come before the input's channels and half after them. Their number is read from the
    tensors, so the module still works after channels of its input or of the branch were cut.
    """

    def __init__(self, stride: int):
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor, branch: Tensor) -> Tensor:
        """Adapt x [batch, in, height, width] to the branch [batch, out, height / stride, width / stride]."""
        missing = branch.shape[1] - x.shape[1]
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, missing // 2, missing - missing // 2))


def projection(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """A 1x1 convolution with batch norm, for a shortcut between different shapes."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with a shortcut.

    Args:
        inputs: input channels (count).
        outputs: output channels (count).
        stride: stride of the first convolution and the shortcut (pixels).
        pads: use a :class:`ZeroPad`, not a :func:`projection`, for a shortcut between different shapes.
        bias: whether the 3x3 convolutions have a bias.
        act: the activation, a function.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        stride: int,
        pads: bool = False,
        bias: bool = False,
        act: Callable[[Tensor], Tensor] = F.relu,
    ):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=bias)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=bias)
        self.bn2 = nn.BatchNorm2d(outputs)
        changes = stride > 1 or inputs != outputs
        self.pad = ZeroPad(stride) if changes and pads else None
        self.downsample = projection(inputs, outputs, stride) if changes and not pads else None
        self.act = act

    def forward(self, x: Tensor) -> Tensor:
        branch = self.bn2(self.conv2(self.act(self.bn1(self.conv1(x)))))
        if self.pad is not None:
            x = self.pad(x, branch)
        elif self.downsample is not None:
            x = self.downsample(x)
        return self.act(branch + x)


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions with a shortcut; the first two are a quarter as wide as the last."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        inner = outputs // 4
        self.conv1 = nn.Conv2d(inputs, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample = projection(inputs, outputs, stride) if stride > 1 or inputs != outputs else None

    def forward(self, x: Tensor) -> Tensor:
        branch = F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))
        branch = self.bn3(self.conv3(branch))
        return F.relu(branch + (x if self.downsample is None else self.downsample(x)))


def stages(block: Block, inputs: int, widths: Sequence[int], counts: Sequence[int]) -> list[nn.Sequential]:
    """Build the stages of a residual net; all but the first halve height and width.

    Args:
        block: function of (inputs, outputs, stride) that returns a module.
        inputs: input channels of the first stage (count).
        widths: output channels of each stage.
        counts: number of blocks in each stage.

    Returns:
        List of ``nn.Sequential``.
    """
    built = []
    for width, count in zip(widths, counts, strict=True):
        first = block(inputs, width, 2 if built else 1)
        built.append(nn.Sequential(first, *(block(width, width, 1) for _ in range(count - 1))))
        inputs = width
    return built


class ResNet(nn.Module):
    """Stem, stages ``layer1``, ``layer2``, ..., average pooling and head ``fc``; named as in torchvision.

    Args:
        conv1: the stem's convolution.
        layers: the stages.
        fc: the head.
        maxpool: pooling after the stem, or None.
        act: the stem's activation, a function.
        cells: height and width to which the last stage's output is pooled (count).
    """

    def __init__(
        self,
        conv1: nn.Conv2d,
        layers: Sequence[nn.Module],
        fc: nn.Module,
        maxpool: nn.Module | None = None,
        act: Callable[[Tensor], Tensor] = F.relu,
        cells: int = 1,
    ):
        super().__init__()
        self.conv1 = conv1
        self.bn1 = nn.BatchNorm2d(conv1.out_channels)
        self.maxpool = maxpool or nn.Identity()
        self.stages = [f"layer{number}" for number in range(1, len(layers) + 1)]
        for name, layer in zip(self.stages, layers, strict=True):
            self.add_module(name, layer)
        self.avgpool = nn.AdaptiveAvgPool2d(cells)
        self.fc = fc
        self.act = act

    def forward(self, image: Tensor) -> Tensor:
        x = self.maxpool(self.act(self.bn1(self.conv1(image))))
        for name in self.stages:
            x = getattr(self, name)(x)
        return self.fc(torch.flatten(self.avgpool(x), 1))


def kaiming(net: Net) -> Net:
    """Initialise convolutions and linear layers with the normal distribution of He et al. 2015; returns the net."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    return net
