"""Names that parameters have elsewhere: within torch's wrappers, and in the original of the DDP suite.

A file of its own, for recipes and weights both come with such names.
"""

import re
from collections.abc import Iterable, Mapping

_WRAPPERS = re.compile(r"^(module\.|_orig_mod\.)+")  # of DistributedDataParallel and torch.compile
RESNET = {"last_linear": "fc"}  # what the original calls parts of torchvision's nets -> their names there
VGG = {"_features": "features", "linear0": "classifier.0", "linear1": "classifier.3", "last_linear": "classifier.6"}


def unwrapped(name: str) -> str:
    """A parameter's name without what wrappers put before it.

    Example:
        >>> unwrapped("module._orig_mod.conv1.weight")
        'conv1.weight'
    """
    return _WRAPPERS.sub("", name)


def renamed(name: str, parts: Mapping[str, str]) -> str:
    """A parameter's name where its net's parts are called otherwise.

    Args:
        name: of the original.
        parts: dict of a part's name there -> here, :data:`RESNET` or :data:`VGG`.

    Example:
        >>> renamed("last_linear.weight", VGG), renamed("_features.0.weight", VGG), renamed("conv1.weight", VGG)
        ('classifier.6.weight', 'features.0.weight', 'conv1.weight')
    """
    part, dot, rest = name.partition(".")
    return parts.get(part, part) + dot + rest


def parts_of(names: Iterable[str]) -> Mapping[str, str]:
    """The parts of the net that parameters of the original belong to: :data:`VGG` if only that has one of them."""
    return VGG if {name.partition(".")[0] for name in names} & (VGG.keys() - RESNET.keys()) else RESNET
