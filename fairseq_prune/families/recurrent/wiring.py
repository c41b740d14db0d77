"""Where the hidden states of recurrent models come from and go to, read from the names of their tensors.

The state that an encoder hands on makes the units of a decoder's layer the same as those of the encoder's layer beside
it; where a bridge lies between them, one for all layers, the units of all layers of a side are the same.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ...pruning.surgery.structure import Coupled
from ...pruning.surgery.table import Owner
from ..family import Vectors

_WEIGHTS, _BIASES = ("weight_ih", "weight_hh"), ("bias_ih", "bias_hh")
_CELL = r"{}\.(?:(?:rnn|lstm)\.weight_hh_l(\d+)(?:_reverse)?|layers\.(\d+)\.weight_hh)"
_BRIDGE = tuple(f"decoder.encoder_{part}_proj.{kind}" for part in ("hidden", "cell") for kind in ("weight", "bias"))
_ADAPTIVE = r"decoder\.adaptive_softmax\.(head|tail\.\d+\.0)\.weight"
_READ_OUT = ("decoder.fc_out.", "decoder.output_projection.", "decoder.adaptive_softmax.")
_ATTENTION = "decoder.attention."
_SCORING = {  # parts of an attention -> what its source meets, along which axis; what its query goes through
    ("input_proj", "output_proj"): (("input_proj", 0), "input_proj"),
    ("output_proj", "query_proj"): (("query_proj", 0), "query_proj"),
    ("context_proj", "output_proj", "query_proj", "v"): (("context_proj", 1), "query_proj"),
}

Layers = list[list[str]]  # of each layer, of each direction, a pattern of entry names


class Slot(NamedTuple):
    """A part of an axis that a whole state lies along, once or several times (gates).

    Args:
        entry: name of the tensor.
        axis: of it.
        start, stop: the part.
    """

    entry: str
    axis: int
    start: int = 0
    stop: int | None = None


def wiring(values: Mapping[str, Tensor]) -> Vectors:
    """Hidden units of layers and of attention, with all that owns them. A vector is a layer's direction.

    Args:
        values: dict of entry name -> tensor, of a model all of whose parts are known.

    Yields:
        (list of (entry name, :class:`~fairseq_prune.pruning.surgery.table.Owner`),
        :class:`~fairseq_prune.pruning.surgery.structure.Coupled`). Layers whose readers are not known are left out.
    """
    sides = {side: layers for side in ("encoder", "decoder") if (layers := _layers(values, side))}
    if "decoder" not in sides or len(sides["decoder"][0]) != 1 or not _of_one_depth(sides):
        return
    yield from (_bridged if _BRIDGE[0] in values else _beside)(sides, values)
    yield from _attentional(sides, values)


def _layers(values, side) -> Layers:
    layers: dict[int, list[str]] = {}
    for name in values:
        if match := re.fullmatch(_CELL.format(side), name):
            layers.setdefault(int(match[1] or match[2]), []).append(name.replace("weight_hh", "{}"))
    return [sorted(layers[layer]) for layer in sorted(layers)]


def _of_one_depth(sides):
    return len({len(layers) for layers in sides.values()}) == 1


def _beside(sides, values):
    """Vectors of models in which each layer of the decoder has the units of the encoder's layer beside it."""
    first = next(iter(sides.values()))
    readers = [[_readers(sides, side, layer, values) for side in sides] for layer in range(len(first))]
    known = [None not in slots for slots in readers]
    for layer, directions in enumerate(first):
        for direction, cell in enumerate(directions if known[layer] else ()):
            units = Units(values, cell.format("weight_hh"), 1, direction, len(directions))
            for layers, slots in zip(sides.values(), readers[layer], strict=True):
                units.add_cells(layers[layer])
                units.add(slots)
            yield units.vector("layers", all(known))


def _bridged(sides, values):
    """Vectors of models whose bridge from encoder to decoder is one for all layers."""
    for side, layers in sides.items():
        readers = [_readers(sides, side, layer, values) for layer in range(len(layers))]
        for direction, cell in enumerate(layers[0] if None not in readers else ()):
            units = Units(values, cell.format("weight_hh"), 1, direction, len(layers[0]))
            for cells, slots in zip(layers, readers, strict=True):
                units.add_cells(cells)
                units.add(slots)
            bridge = _BRIDGE if side == "decoder" else (entry for entry in _BRIDGE if entry.endswith("weight"))
            units.add(Slot(entry, int(side == "encoder")) for entry in bridge)
            yield units.vector(side)


def _attentional(sides, values):
    """What attention puts out, and what it scores by where that is a layer of its own."""
    parts, outputs = _parts(values), _outputs(values)
    if parts in _SCORING and outputs:
        units = Units(values, f"{_ATTENTION}output_proj.weight", 0)
        units.add([Slot(f"{_ATTENTION}output_proj.{kind}", 0) for kind in ("weight", "bias")])
        units.add([*_feed(sides, values), *outputs])
        yield units.vector()
    if parts in _SCORING and "v" in parts:
        units = Units(values, f"{_ATTENTION}query_proj.weight", 0)
        written = ("query_proj.weight", "query_proj.bias", "context_proj.weight")
        units.add([*(Slot(_ATTENTION + part, 0) for part in written), Slot(f"{_ATTENTION}v.weight", 1)])
        yield units.vector()


def embeddings(values: Mapping[str, Tensor]) -> Vectors:
    """Dimensions of embeddings: columns, and what the first layers read of them; as :func:`wiring`.

    One matrix is one vector, whoever shares it. Where it is also the output's, that reads another layer's rows; the
    dimensions that are hidden units as well are left out.
    """
    sides = {side: layers for side in ("encoder", "decoder") if (layers := _layers(values, side))}
    names = {side: f"{side}.embed_tokens.weight" for side in sides}
    for side, name in names.items():
        sharing = [other for other in sides if values[names[other]].data_ptr() == values[name].data_ptr()]
        puts_out = "decoder" in sharing and not any(name.startswith(_READ_OUT) for name in values)
        if sharing[0] != side or (puts_out and "decoder.additional_fc.weight" not in values):
            continue
        units = Units(values, name, 1)
        width = values[name].shape[1]
        for other in sharing:
            first = [Slot(cell.format("weight_ih"), 1, 0, width) for cell in sides[other][0]]
            units.add([Slot(names[other], 1), *first])
        if puts_out:
            units.add(Slot(f"decoder.additional_fc.{part}", 0) for part in ("weight", "bias"))
        yield units.embedding()


class Units:
    """The units of one vector, gathered.

    Args:
        values: dict of entry name -> tensor.
        name: of the vector: a weight along one axis of which nothing else lies.
        axis: that one.
        direction, directions: which part of the state of all directions they are.
    """

    def __init__(self, values: Mapping[str, Tensor], name: str, axis: int, direction: int = 0, directions: int = 1):
        self._values, self._name, self._length = values, name, values[name].shape[axis]
        self._alone, self._direction = torch.arange(self._length), direction
        self._place = torch.full((directions * self._length,), -1)
        self._place[direction * self._length :][: self._length] = self._alone
        self._rows: list[tuple[str, Owner]] = []

    def add(self, slots: Iterable[Slot], place: Tensor | None = None) -> None:
        """Slots along which the state of all directions lies, or ``place``."""
        place = self._place if place is None else place
        for entry, axis, start, stop in slots:
            if entry in self._values:
                elements = torch.full((self._values[entry].shape[axis],), -1)
                part = elements[start:stop]
                part.copy_(place.repeat(len(part) // len(place)))
                self._rows.append((entry, Owner(axis, self._name, elements)))

    def add_cells(self, directions: Sequence[str]) -> None:
        """A layer that these units are in: rows of all gates, columns of its recurrent weight."""
        one = len(directions) == 1
        cell, place = (directions[0], self._place) if one else (directions[self._direction], self._alone)
        written = (Slot(cell.format(part), 0) for part in (*_WEIGHTS, *_BIASES))
        self.add([*written, Slot(cell.format("weight_hh"), 1)], place)

    def vector(self, alike: str = "", cuts: bool = True) -> tuple[list[tuple[str, Owner]], Coupled]:
        """The units as a family yields them: (list of (entry name, owner), the vector)."""
        sides = ([e for e, o in self._rows if o.axis == axis and self._values[e].dim() > 1] for axis in (0, 1))
        writers, readers = (tuple(dict.fromkeys(side)) for side in sides)
        return self._rows, Coupled(self._name, "hidden", self._length, writers, readers, cuts, alike=alike)

    def embedding(self) -> tuple[list[tuple[str, Owner]], Coupled]:
        """As :meth:`vector`, of the dimensions of an embedding: columns of a matrix write them."""
        readers = tuple(dict.fromkeys(entry for entry, owner in self._rows if owner.axis and "embed" not in entry))
        return self._rows, Coupled(self._name, "embedding", self._length, (self._name,), readers, written=1)


def _readers(sides, side, layer, values):
    """Slots that the state of a layer lies along, beside those of its own cells and a bridge; None: not known."""
    if layer < len(sides[side]) - 1:
        return [Slot(cell.format("weight_ih"), 1) for cell in sides[side][layer + 1]]
    parts = _parts(values)
    if not parts:
        return [] if side == "encoder" else _outputs(values) and [*_outputs(values), *_feed(sides, values)]
    if parts not in _SCORING:
        return None
    (source, axis), query = _SCORING[parts]
    context = f"{_ATTENTION}output_proj.weight"  # reads [context; query]
    split = values[context].shape[1] - values[sides["decoder"][-1][0].format("weight_hh")].shape[1]
    if side == "encoder":
        return [Slot(f"{_ATTENTION}{source}.weight", axis), Slot(context, 1, 0, split)]
    return [Slot(f"{_ATTENTION}{query}.weight", 1), Slot(context, 1, split)]


def _parts(values):
    """Names of the layers of attention."""
    return tuple(sorted({name.split(".")[2] for name in values if name.startswith(_ATTENTION)}))


def _feed(sides, values):
    """Where the first cell of a decoder with an encoder reads the output of the step before."""
    start = values["decoder.embed_tokens.weight"].shape[1]
    return [Slot(sides["decoder"][0][0].format("weight_ih"), 1, start)] if "encoder" in sides else []


def _outputs(values):
    """What reads the outputs of attention, or of a decoder without it; None where embeddings do."""
    adaptive = [name for name in values if re.fullmatch(_ADAPTIVE, name)]
    extra = [name for name in ("decoder.additional_fc.weight",) if name in values]
    plain = [f"decoder.{name}.weight" for name in ("fc_out", "output_projection")]
    found = [*adaptive, *extra] or [name for name in plain if name in values]
    return [Slot(name, 1) for name in found] or None
