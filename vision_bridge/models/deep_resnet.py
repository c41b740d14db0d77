"""ResNet-18, -34 and -50 of He et al. 2016 with a stem for small images: 3x3, stride 1, no pooling."""

from collections.abc import Sequence
from functools import partial

from torch import nn

from .nets import NetSpec, add_net
from .residual import BasicBlock, Block, Bottleneck, ResNet, kaiming, stages

PLANS = {  # block, width of the first stage, blocks of each stage
    "resnet18": (BasicBlock, 64, (2, 2, 2, 2)),
    "resnet34": (BasicBlock, 64, (3, 4, 6, 3)),
    "resnet50": (Bottleneck, 256, (3, 4, 6, 3)),
}


def deep_resnet(spec: NetSpec, block: Block, width: int, counts: Sequence[int]) -> ResNet:
    """A stem of width 64, four stages, each twice as wide as the one before, and a linear head."""
    widths = [width << stage for stage in range(4)]
    conv1 = nn.Conv2d(spec.channels, 64, 3, padding=1, bias=False)
    return kaiming(ResNet(conv1, stages(block, 64, widths, counts), nn.Linear(widths[-1], spec.classes)))


for _name, (_block, _width, _counts) in PLANS.items():
    add_net(_name, partial(deep_resnet, block=_block, width=_width, counts=_counts))
