"""LeNet-5 with max pooling and ReLU, as in GReg (Wang et al. 2021), and a variant of width 10 throughout."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .nets import NetSpec, add_net


class LeNet(nn.Module):
    """Three 5x5 convolutions, the first two with pooling, and two linear layers.

    If images are larger than 32 px, the features are averaged over the remaining positions.

    Args:
        spec: :class:`~vision_bridge.models.nets.NetSpec`.
        widths: of the three convolutions and of the hidden linear layer.
    """

    def __init__(self, spec: NetSpec, widths: Sequence[int]):
        super().__init__()
        first, second, third, hidden = widths
        self.conv1 = nn.Conv2d(spec.channels, first, 5)
        self.conv2 = nn.Conv2d(first, second, 5)
        self.conv3 = nn.Conv2d(second, third, 5)
        self.fc1 = nn.Linear(third, hidden)
        self.fc2 = nn.Linear(hidden, spec.classes)

    def forward(self, image: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.conv1(image)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = torch.flatten(F.adaptive_avg_pool2d(F.relu(self.conv3(x)), 1), 1)
        return self.fc2(F.relu(self.fc1(x)))


add_net("lenet5", partial(LeNet, widths=(6, 16, 120, 84)), smallest=32)
add_net("lenet5_mini", partial(LeNet, widths=(10, 10, 10, 10)), smallest=32)
