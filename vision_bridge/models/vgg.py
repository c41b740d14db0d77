"""VGGs for small images: 3x3 convolutions, global average pooling and one linear layer.

``vgg11`` and the like are GReg's (Wang et al. 2021): convolutions without bias, and pooling after each
stage except the last. ``vgg8`` and those with ``_bias`` have biases in addition to the batch norms, and
pool fewer times: three times, or four if images have 64 px. Their layers have the names used in recipes
and checkpoints of the original of the filter, stripe, pattern, N:M and irregular methods.
"""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .nets import NetSpec, add_net
from .residual import kaiming

WIDTHS = 64, 128, 256, 512, 512
DEPTHS = {8: (1, 1, 1, 1, 1), 11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}


class Vgg(nn.Module):
    """Convolutions, batch norms, ReLUs and pooling in ``features``, and the head ``fc``.

    Args:
        spec: :class:`~vision_bridge.models.nets.NetSpec`.
        depths: number of convolutions in each stage; without batch norm, they have a bias.
    """

    def __init__(self, spec: NetSpec, depths: Sequence[int]):
        super().__init__()
        inputs = spec.channels
        layers: list[nn.Module] = []
        for stage, (width, depth) in enumerate(zip(WIDTHS, depths, strict=True)):
            for _ in range(depth):
                layers.append(nn.Conv2d(inputs, width, 3, padding=1, bias=not spec.batch_norm))
                layers += [nn.BatchNorm2d(width), nn.ReLU()] if spec.batch_norm else [nn.ReLU()]
                inputs = width
            if stage < len(WIDTHS) - 1:
                layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.fc = nn.Linear(inputs, spec.classes)

    def forward(self, image: Tensor) -> Tensor:
        return self.fc(torch.flatten(F.adaptive_avg_pool2d(self.features(image), 1), 1))


class BlockVgg(nn.Module):
    """The same in ``block0`` to ``block4``, which end before their last ReLU, and the head ``classifier``.

    Args:
        spec: :class:`~vision_bridge.models.nets.NetSpec`.
        depths: number of convolutions in each stage; they have a bias.
    """

    def __init__(self, spec: NetSpec, depths: Sequence[int]):
        super().__init__()
        inputs, self.pools = spec.channels, 4 if spec.size == 64 else 3
        for stage, (width, depth) in enumerate(zip(WIDTHS, depths, strict=True)):
            layers: list[nn.Module] = []
            for _ in range(depth):
                layers.append(nn.Conv2d(inputs, width, 3, padding=1))
                layers += [nn.BatchNorm2d(width), nn.ReLU()] if spec.batch_norm else [nn.ReLU()]
                inputs = width
            self.add_module(f"block{stage}", nn.Sequential(*layers[:-1]))
        self.classifier = nn.Linear(inputs, spec.classes)

    def forward(self, image: Tensor) -> Tensor:
        for stage in range(len(WIDTHS)):
            image = F.relu(self.get_submodule(f"block{stage}")(image))
            image = F.max_pool2d(image, 2) if stage < self.pools else image
        return self.classifier(torch.flatten(F.adaptive_avg_pool2d(image, 1), 1))


def vgg(spec: NetSpec, depths: Sequence[int]) -> Vgg:
    return kaiming(Vgg(spec, depths))


def vgg_bias(spec: NetSpec, depths: Sequence[int]) -> BlockVgg:
    return kaiming(BlockVgg(spec, depths))


for _depth in (11, 13, 16, 19):
    add_net(f"vgg{_depth}", partial(vgg, depths=DEPTHS[_depth]), smallest=16, optional=["batch_norm"])
for _depth, _name in ((8, "vgg8"), (11, "vgg11_bias"), (13, "vgg13_bias"), (16, "vgg16_bias")):
    add_net(_name, partial(vgg_bias, depths=DEPTHS[_depth]), smallest=8, optional=["batch_norm"])
