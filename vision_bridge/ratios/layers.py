"""The layers of a vision model as GReg counts and names them."""

import re
from dataclasses import dataclass

from torch import nn
from torch.nn.modules.conv import _ConvNd

PREFIX = "net."  # prefix of all names in an image classifier
_IN_BLOCK = re.compile(r"layer(\d+)\.(\d+)\.conv(\d+)")
_SHORTCUT = re.compile(r"layer(\d+)\.(\d+)\.(?:downsample|shortcut)\b.*")


@dataclass(frozen=True)
class Layer:
    """A convolution or linear layer.

    Args:
        name: name of the module, without the classifier's prefix.
        index: its number; a shortcut has that of the layer before it.
        stage: 0 for the stem, the last one for linear layers; None if the net has no stages.
        block: number of its block in the stage; None outside of blocks.
        place: number of the convolution in its block, -1 for a shortcut; None outside of blocks.
        last: True for the last convolution of a block.
        linear: True for linear layers.
    """

    name: str
    index: int
    stage: int | None = None
    block: int | None = None
    place: int | None = None
    last: bool = False
    linear: bool = False

    @property
    def id(self) -> tuple[str, ...]:
        """``stage.block.place`` as in --skip-layers, without the parts that are None."""
        return tuple(str(part) for part in (self.stage, self.block, self.place) if part is not None)


def find_layers(net: nn.Module) -> list[Layer]:
    """List the layers of a net in the order of its modules.

    Args:
        net: ``nn.Module``; residual nets name their blocks ``layerS.B`` and their convolutions ``convK``.

    Returns:
        list of :class:`Layer`.
    """
    names = [name for name, module in net.named_modules() if isinstance(module, (_ConvNd, nn.Linear))]
    linear = {name for name, module in net.named_modules() if isinstance(module, nn.Linear)}
    matches = {name: _IN_BLOCK.fullmatch(name) or _SHORTCUT.fullmatch(name) for name in names}
    stages = [int(match[1]) for match in matches.values() if match]
    places, layers, index = {}, [], -1
    for match in matches.values():
        if match and match.re is _IN_BLOCK:
            key = match[1], match[2]
            places[key] = max(places.get(key, 0), int(match[3]) - 1)
    for name, match in matches.items():
        shortcut = match is not None and match.re is _SHORTCUT
        index += not shortcut
        if not stages:
            layers.append(Layer(name, index, linear=name in linear))
        elif match:
            place = -1 if shortcut else int(match[3]) - 1
            last = place == places.get((match[1], match[2]))
            layers.append(Layer(name, index, int(match[1]), int(match[2]), place, last))
        else:
            layers.append(Layer(name, index, max(stages) + 1 if name in linear else 0, linear=name in linear))
    return layers
