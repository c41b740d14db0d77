"""Those nets of SNIP-it (Verdenius et al. 2020) that are chains of layers."""

from collections import OrderedDict
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from torch import nn

from .nets import NetSpec, add_net
from .snipit_layers import active, head, orthogonal


class Conv(NamedTuple):
    """A convolution, and the max pooling after it.

    Attributes:
        width: output channels (count).
        kernel, padding: of the convolution (pixels).
        pool, stride: of the pooling (pixels); ``pool`` 0: no pooling.
    """

    width: int
    kernel: int = 3
    padding: int = 1
    pool: int = 0
    stride: int = 2


@dataclass(frozen=True)
class Chain:
    """A net.

    Attributes:
        convs: its convolutions.
        cells: height and width to which their output is pooled (count); 0: no pooling.
        hidden: widths of the hidden linear layers; None: the output layer is a convolution.
        dropout: probability.
        smallest: smallest size of images (pixels).
    """

    convs: tuple[Conv, ...] = ()
    cells: int = 0
    hidden: tuple[int, ...] | None = ()
    dropout: float = 0.3
    smallest: int = 1


def _blocks(*blocks):
    """3x3 convolutions, with pooling at the end of each block except the last."""
    *pooled, last = blocks
    ends = ([Conv(w) for w in block[:-1]] + [Conv(block[-1], pool=2)] for block in pooled)
    return (*(conv for block in ends for conv in block), *map(Conv, last))


CHAINS = {
    "logistic": Chain(dropout=0),
    "lenet300": Chain(hidden=(300, 100), dropout=0),
    "mlp5": Chain(hidden=(512,) * 4),
    "lenet5_snip": Chain((Conv(6, 5, 2, 2), Conv(16, 5, 0, 2), Conv(120, 5, 0)), 3, (84,), smallest=28),
    "conv6": Chain(_blocks((64, 64), (128, 128), (256, 256)), 3, (256, 256), smallest=4),
    "alexnet_snip": Chain(
        (Conv(64, 5, 2, 3), Conv(192, 5, 2, 3), Conv(384), Conv(256), Conv(512)), 2, (4096, 4096), smallest=7
    ),
    "vgg16_fc3": Chain(
        _blocks((64, 64), (128, 128), (256,) * 3, (512,) * 3, (512, 512, 1024)), 2, (4096, 4096), smallest=16
    ),
    "conv_only": Chain(
        (Conv(64, 5, 1, 2), Conv(128, pool=2), Conv(64, pool=2), Conv(32, pool=3, stride=3)), 1, None, 0, smallest=26
    ),
}


def build_chain(spec: NetSpec, chain: Chain) -> nn.Module:
    """Build the features, the pooling and the head ``fc``."""
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    width = spec.channels
    if chain.convs:
        parts["features"] = nn.Sequential(*_features(spec, chain.convs))
        width = chain.convs[-1].width
    if chain.hidden is None:
        parts["fc"] = nn.Conv2d(width, spec.classes, 3, padding=1)
    if chain.cells:
        parts["pool"] = nn.AdaptiveAvgPool2d(chain.cells)
    parts["flatten"] = nn.Flatten()
    if chain.hidden is not None:
        widths = [width * (chain.cells or spec.size) ** 2, *chain.hidden, spec.classes]
        norm = nn.BatchNorm1d if spec.batch_norm else None
        dropout = chain.dropout if spec.dropout is None else spec.dropout
        parts["fc"] = head(widths, norm, dropout, drops_input=bool(chain.convs))
    return orthogonal(nn.Sequential(parts))


def _features(spec, convs):
    inputs, norm = spec.channels, nn.BatchNorm2d if spec.batch_norm else None
    for conv in convs:
        yield nn.Conv2d(inputs, conv.width, conv.kernel, padding=conv.padding)
        yield from active(norm, conv.width)
        if conv.pool:
            yield nn.MaxPool2d(conv.pool, conv.stride)
        inputs = conv.width


for _name, _chain in CHAINS.items():
    _optional = (["batch_norm"] if _chain.convs or _chain.hidden else []) + (["dropout"] if _chain.hidden else [])
    add_net(_name, partial(build_chain, chain=_chain), _chain.smallest, _optional)
