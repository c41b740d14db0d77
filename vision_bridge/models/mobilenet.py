"""torchvision's MobileNetV2 (Sandler et al. 2018), for any number of channels, with the strides for large images."""

from torch import nn

from .nets import NetSpec, add_net


def mobilenetv2(spec: NetSpec) -> nn.Module:
    from torchvision.models import MobileNetV2

    net = MobileNetV2(num_classes=spec.classes, dropout=0.2 if spec.dropout is None else spec.dropout)
    if spec.channels != 3:
        net.features[0][0] = nn.Conv2d(spec.channels, 32, 3, 2, padding=1, bias=False)
    return net


add_net("mobilenetv2", mobilenetv2, optional=["dropout"])
