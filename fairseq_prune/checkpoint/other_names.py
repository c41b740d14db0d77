"""Other names of parameters: inside torch's wrappers, and in the original of the DDP suite.

A separate file, since both recipes and weights may use such names.
"""

import re
from collections.abc import Iterable, Mapping

_WRAPPERS = re.compile(r"^(module\.|_orig_mod\.)+")  # added by DistributedDataParallel and torch.compile
RESNET = {"last_linear": "fc"}  # the original's names for parts of torchvision's nets -> torchvision's names
VGG = {"_features": "features", "linear0": "classifier.0", "linear1": "classifier.3", "last_linear": "classifier.6"}


def unwrapped(name: str) -> str:
    """A parameter's name without the prefixes of wrappers.

    Example:
        >>> unwrapped("module._orig_mod.conv1.weight")
        'conv1.weight'
    """
    return _WRAPPERS.sub("", name)


def renamed(name: str, parts: Mapping[str, str]) -> str:
    """Our name for a parameter of the original, whose nets name their parts differently.

    Args:
        name: the original's name.
        parts: dict of a part's name there -> here: :data:`RESNET` or :data:`VGG`.

    Example:
        >>> renamed("last_linear.weight", VGG), renamed("_features.0.weight", VGG), renamed("conv1.weight", VGG)
        ('classifier.6.weight', 'features.0.weight', 'conv1.weight')
    """
    part, dot, rest = name.partition(".")
    return parts.get(part, part) + dot + rest


def parts_of(names: Iterable[str]) -> Mapping[str, str]:
    """The table for a net of the original, from its parameters' names: :data:`VGG` if one occurs only there."""
    return VGG if {name.partition(".")[0] for name in names} & (VGG.keys() - RESNET.keys()) else RESNET
