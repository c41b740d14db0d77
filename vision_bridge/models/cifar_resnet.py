"""ResNets of three stages, for small images, with either kind of shortcut.

Source: He et al. 2016, section 4.2: depth 6n + 2, widths 16, 32 and 64. ``resnet20`` and the like have
shortcuts without parameters (option A), as in GReg (Wang et al. 2021); those with a ``b`` have 1x1
convolutions; ``x4`` means widths 32, 64, 128 and 256.
"""

from collections.abc import Sequence
from functools import partial

from torch import nn

from .nets import NetSpec, add_net
from .residual import BasicBlock, ResNet, kaiming, stages

NARROW, WIDE = (16, 16, 32, 64), (32, 64, 128, 256)  # widths of the stem and the stages
FAMILIES = (  # name, depths, widths, whether shortcuts are padded
    ("resnet{}", (8, 14, 20, 32, 44, 56, 110), NARROW, True),
    ("resnet{}b", (8, 20, 32, 56, 110), NARROW, False),
    ("resnet{}x4", (8, 32), WIDE, False),
)


def cifar_resnet(spec: NetSpec, depth: int, widths: Sequence[int], pads: bool) -> ResNet:
    """A 3x3 stem, three stages of basic blocks, global average pooling and a linear head."""
    stem, *widths = widths
    layers = stages(partial(BasicBlock, pads=pads), stem, widths, [(depth - 2) // 6] * 3)
    conv1 = nn.Conv2d(spec.channels, stem, 3, padding=1, bias=False)
    return kaiming(ResNet(conv1, layers, nn.Linear(widths[-1], spec.classes)))


for _name, _depths, _widths, _pads in FAMILIES:
    for _depth in _depths:
        add_net(_name.format(_depth), partial(cifar_resnet, depth=_depth, widths=_widths, pads=_pads))
