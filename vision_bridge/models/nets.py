"""The table of nets, and the specification that a net is built for."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from torch import nn

from fairseq_prune.pruning.registry import Registry

NETS: Registry[Callable[["NetSpec"], nn.Module]] = Registry("net")
FLAGS = {"batch_norm": "--no-batch-norm", "dropout": "--net-dropout"}


@dataclass(frozen=True)
class NetSpec:
    """What a net is built for.

    Attributes:
        classes: number of logits.
        channels: channels of an image (count).
        size: height and width of an image (pixels).
        batch_norm: False: leave out batch norms, and give their convolutions a bias instead.
        dropout: probability, in [0, 1); None: the net's default.
    """

    classes: int
    channels: int
    size: int
    batch_norm: bool = True
    dropout: float | None = None


def add_net(
    name: str, build: Callable[[NetSpec], nn.Module], smallest: int = 1, optional: Collection[str] = ()
) -> None:
    """Add a net to :data:`NETS`.

    Args:
        name: name of the entry, which is also the ``--arch``.
        build: function of a :class:`NetSpec` that returns a module: images, float
            [batch, channels, size, size], to logits [batch, classes].
        smallest: smallest size of images (pixels).
        optional: which of ``"batch_norm"`` and ``"dropout"`` can be chosen.

    Raises:
        ValueError: the name is taken. The entry itself raises it for a spec that does not fit.
    """

    def checked(spec):
        if spec.size < smallest:
            small = f"images of {spec.size} x {spec.size} px are too small"
            raise ValueError(f"--arch {name}: {small}; give e.g. --image-size {smallest}")
        refuse_flags(spec, name, optional)
        return build(spec)

    NETS.add(name)(checked)


def refuse_flags(spec: NetSpec, name: str, optional: Collection[str] = ()) -> None:
    """Refuse options that a net does not have, and an invalid dropout; arguments as for :func:`add_net`.

    Raises:
        ValueError: the message names the option, the value and a valid example.
    """
    for field in FLAGS.keys() - set(optional):
        if getattr(spec, field) != getattr(NetSpec, field):
            raise ValueError(f"{FLAGS[field]}: --arch {name} leaves no choice; give e.g. --arch vgg16_fc3")
    if spec.dropout is not None and not 0 <= spec.dropout < 1:
        raise ValueError(f"--net-dropout {spec.dropout}: give a probability in [0, 1), e.g. --net-dropout 0.3")
