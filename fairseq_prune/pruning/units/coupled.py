"""Coupled units: slices of several tensors that leave together, so that surgery can cut them out."""

from .base import UNITS


class _Coupled:
    """Units of a :class:`~fairseq_prune.pruning.surgery.structure.Structure`.

    Attributes:
        kinds: of vectors that have such units.
        side: ``"writers"`` or ``"readers"``: the slices that are scored and penalised.
    """

    kinds = ()
    side = "writers"
    scope = None

    @classmethod
    def parse(cls, argument):
        """As :meth:`~.base.Units.parse`."""
        if argument:
            raise ValueError(f"units {cls.__name__.lower()!r} take no argument, got {argument!r}")
        return cls()


@UNITS.add("filter")
class Filter(_Coupled):
    """A channel by the filters that produce it (rows of a linear layer in a vision model)."""

    kinds = ("channel",)


@UNITS.add("channel")
class Channel(_Coupled):
    """A channel by the input columns of the layers that read it."""

    kinds = ("channel",)
    side = "readers"


@UNITS.add("neuron")
class Neuron(_Coupled):
    """A neuron of a Transformer's feed-forward block."""

    kinds = ("neuron",)


@UNITS.add("head")
class Head(_Coupled):
    """An attention head."""

    kinds = ("head",)


@UNITS.add("node")
class Node(_Coupled):
    """A channel, neuron, head or hidden unit by the weights that read it: a gate on what it puts out."""

    kinds = ("channel", "neuron", "head", "hidden")
    side = "readers"


@UNITS.add("weight+node")
class WeightAndNode(Node):
    """Nodes and single weights in one ranking."""

    scope = "global"


@UNITS.add("hidden")
class Hidden(_Coupled):
    """A hidden unit of a recurrent layer, with all its gates."""

    kinds = ("hidden",)


def is_coupled(units):
    """True for units that are not a partition of each tensor by itself."""
    return isinstance(units, _Coupled)
