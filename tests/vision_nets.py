"""Nets of vision, small, and what is done to one: channels chosen, masked, cut."""

import copy

import torch
from torch import nn

from fairseq_prune.modules.partial_norm import look_for_absent
from fairseq_prune.pruning.surgery.cut import cut_state, entries, replace_values
from fairseq_prune.pruning.surgery.structure import masks_without
from vision_bridge.models.divisible import make_divisible
from vision_bridge.models.nets import NETS, NetSpec


def densenet():
    from torchvision.models import DenseNet

    return DenseNet(growth_rate=4, block_config=(2, 3), num_init_features=8, num_classes=10)


def resnext():
    from torchvision.models.resnet import Bottleneck, ResNet

    return ResNet(Bottleneck, [1, 1, 1, 1], num_classes=10, groups=4, width_per_group=8)


def regnet():
    from torchvision.models.regnet import BlockParams, RegNet

    widths = BlockParams(
        depths=[1, 2],
        widths=[12, 24],
        group_widths=[6, 4],
        bottleneck_multipliers=[1.0, 1.0],
        strides=[2, 2],
        se_ratio=0.5,
    )
    return RegNet(widths, num_classes=10, stem_width=8)


def convnext():
    from torchvision.models.convnext import CNBlockConfig, ConvNeXt

    return ConvNeXt([CNBlockConfig(8, 12, 2), CNBlockConfig(12, None, 1)], num_classes=10)


def vit():
    from torchvision.models import VisionTransformer

    sizes = {"image_size": 16, "patch_size": 4, "num_layers": 2, "num_heads": 4, "hidden_dim": 16, "mlp_dim": 24}
    return VisionTransformer(**sizes, num_classes=10)


SMALL = {net.__name__: net for net in (densenet, resnext, regnet, convnext, vit)}  # torchvision's, of small widths


def build(name, size=16, made=True):
    """A net without randomness in its forward pass, in float64, whose norms move all channels off zero."""
    torch.manual_seed(1)
    if name in NETS:
        net = NETS[name](NetSpec(10, 3, size))
    else:
        from torchvision import models

        options = {"num_classes": 10, **({"init_weights": False} if name == "googlenet" else {})}
        net = SMALL[name]() if name in SMALL else models.get_model(name, **options)
        if made:  # so that its norms and attention can lose channels
            make_divisible(net)
    return settled(net)


def settled(net):
    for name, value in net.named_parameters():
        if value.dim() > 1 and not value.any() or "layer_scale" in name or "bias" in name:
            value.data.uniform_(0.2, 0.8)
    for module in net.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if isinstance(module, nn.BatchNorm2d):
            for value, low, high in ((module.weight, 0.5, 1.5), (module.bias, 0.2, 0.8), (module.running_mean, -1, 1)):
                value.data.uniform_(low, high)
            module.running_var.uniform_(0.5, 2)
            module.eps = 1e-3  # keeps channels of few, nearly equal values from growing rounding errors
    return net.double()


def images(size, count=4):
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def select(structure, seed=3):
    """About half of every vector stays, and at least one channel."""
    generator, keep = torch.Generator().manual_seed(seed), {}
    for name, vector in structure.vectors.items():
        keep[name] = torch.rand(vector.length, generator=generator) < 0.5
        keep[name][int(torch.randint(vector.length, (), generator=generator))] = True
        if vector.heads > 1:  # as many in each, but others
            order = torch.rand(vector.heads, vector.length // vector.heads, generator=generator).argsort(1)
            keep[name] = (order < (order.shape[1] + 1) // 2).flatten()
    return keep


def masked(net, structure, keep, only=""):
    """A copy in which all that the removed channels own is zero; ``only``: in these entries."""
    net = copy.deepcopy(net)
    parameters = dict(net.named_parameters())
    masks = masks_without(structure, {name: p.shape for name, p in parameters.items()}, keep)
    for name, mask in masks.items():
        if name.startswith(only):
            parameters[name].data[~mask] = 0
    look_for_absent(net, True)
    return net


def cut(net, structure, keep):
    net = copy.deepcopy(net)
    replace_values(net, cut_state(entries(net), structure.table, keep))
    return net


def outputs(net, image):
    """Logits, those of auxiliary classifiers appended."""
    found = net(image)
    return found if torch.is_tensor(found) else torch.cat([part for part in found if part is not None])


def difference(one, other):
    """As a fraction of the largest value of the first."""
    return ((one - other).abs().max() / one.abs().max().clamp(min=1e-300)).item()
