"""torchvision's Vision Transformer (Dosovitskiy et al. 2020) and ConvNeXt (Liu et al. 2022), for small images."""

from functools import partial

from torch import nn

from .nets import NetSpec, add_net

MOST_PATCHES = 196  # as in an image of 224 px with patches of 16 px


def patch_size(size: int) -> int:
    """The smallest patch size that gives few enough patches: 16 px for images of 224 px, 4 for 32, 1 for 8."""
    return next(patch for patch in range(1, size + 1) if not size % patch and (size // patch) ** 2 <= MOST_PATCHES)


def vit(spec: NetSpec, width: int, heads: int, depth: int) -> nn.Module:
    from torchvision.models import VisionTransformer

    patch = patch_size(spec.size)
    net = VisionTransformer(spec.size, patch, depth, heads, width, 4 * width, num_classes=spec.classes)
    if spec.channels != 3:
        net.conv_proj = nn.Conv2d(spec.channels, width, patch, patch)
    return net


def convnext(spec: NetSpec, widths: tuple[int, ...], depths: tuple[int, ...]) -> nn.Module:
    from torchvision.models.convnext import CNBlockConfig, ConvNeXt

    stages = zip(widths, (*widths[1:], None), depths, strict=True)
    net = ConvNeXt([CNBlockConfig(*stage) for stage in stages], num_classes=spec.classes)
    net.features[0][0] = nn.Conv2d(spec.channels, widths[0], 2, 2)
    return net


add_net("vit_tiny", partial(vit, width=192, heads=3, depth=12))
add_net("vit_mini", partial(vit, width=64, heads=4, depth=4))
add_net("convnext_mini", partial(convnext, widths=(32, 64, 128), depths=(1, 1, 2)), smallest=8)
