"""Nets for images; importing this fills :data:`~vision_bridge.models.nets.NETS`."""

from . import (  # noqa: F401
    cifar_resnet,
    deep_resnet,
    lenet,
    mlp,
    mobilenet,
    shufflenet,
    snipit_chains,
    snipit_resnet,
    transformers,
    vgg,
    wide_resnet,
)
