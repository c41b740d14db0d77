"""Coupled units: slices of several tensors that are removed together, so that surgery can cut them out."""

from typing import ClassVar, Self

from .base import UNITS, UnitKind


class CoupledUnits:
    """Units of a :class:`~fairseq_prune.pruning.surgery.structure.Structure`.

    Attributes:
        kinds: of :class:`~fairseq_prune.pruning.surgery.structure.Coupled` vectors that have such units.
        side: ``"writers"`` or ``"readers"``: the slices that are scored and penalised.
        costed: --prune-params-left and --prune-macs-left can say how much of them is removed.
    """

    kinds: tuple[str, ...] = ()
    side: ClassVar[str] = "writers"
    scope: ClassVar[str | None] = None
    costed: ClassVar[bool] = True

    @classmethod
    def parse(cls, argument: str) -> Self:
        """As :meth:`~.base.UnitKind.parse`."""
        if argument:
            raise ValueError(f"units {cls.__name__.lower()!r} take no argument, got {argument!r}")
        return cls()


@UNITS.add("filter")
class Filter(CoupledUnits):
    """A channel by the filters that produce it (rows of a linear layer in a vision model)."""

    kinds = ("channel",)


@UNITS.add("channel")
class Channel(CoupledUnits):
    """A channel by the input columns of the layers that read it."""

    kinds = ("channel",)
    side = "readers"


@UNITS.add("neuron")
class Neuron(CoupledUnits):
    """A neuron of a Transformer's feed-forward block."""

    kinds = ("neuron",)


@UNITS.add("head")
class Head(CoupledUnits):
    """An attention head."""

    kinds = ("head",)


@UNITS.add("qk")
class QK(CoupledUnits):
    """A dimension of an attention block's queries and keys, one of each head."""

    kinds = ("qk",)


@UNITS.add("vo")
class VO(CoupledUnits):
    """A dimension of an attention block's values, one of each head."""

    kinds = ("vo",)


@UNITS.add("node")
class Node(CoupledUnits):
    """A channel, neuron, head or hidden unit by the weights that read it: a gate on what it puts out."""

    kinds = ("channel", "neuron", "head", "hidden")
    side = "readers"


@UNITS.add("weight+node")
class WeightAndNode(Node):
    """Nodes and single weights in one ranking."""

    scope = "global"
    costed = False


@UNITS.add("width")
class Width(CoupledUnits):
    """A unit of a Transformer with connectivity: dimension of its residual stream, of queries and keys, or of values;
    neuron.

    Args:
        kinds: some of them only.
    """

    kinds: tuple[str, ...] = ("residual", "qk", "vo", "neuron")
    scope = "global"
    costed = False  # it has --compression-rate

    def __init__(self, kinds: tuple[str, ...] = kinds):
        self.kinds = kinds

    @classmethod
    def parse(cls, argument: str) -> Self:
        """Read ``width``, ``width:residual`` or ``width:qk+vo+neuron``."""
        kinds = tuple(argument.split("+")) if argument else cls.kinds
        if not set(kinds) <= set(cls.kinds):
            raise ValueError(f"cannot read widths {argument!r}; write e.g. width:residual or width:qk+vo+neuron")
        return cls(kinds)


@UNITS.add("hidden")
class Hidden(CoupledUnits):
    """A hidden unit of a recurrent layer, with all its gates."""

    kinds = ("hidden",)


@UNITS.add("layer")
class Layer(CoupledUnits):
    """A whole layer of an encoder or decoder, with all that it owns."""

    kinds = ("layer",)


@UNITS.add("embedding")
class Embedding(CoupledUnits):
    """A dimension of a recurrent model's embeddings, by its column of the matrix."""

    kinds = ("embedding",)


def is_coupled(units: UnitKind) -> bool:
    """True for units that own parts of several tensors."""
    return isinstance(units, CoupledUnits)
