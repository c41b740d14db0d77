"""Which channels of a vision model must be removed together, found by tracing it.

The package torch-pruning follows one example through autograd's graph and finds which channels of which
layers depend on each other; of its result we keep only plain data, our removal table.
"""

import contextlib
import copy
import itertools
import math
import warnings

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from fairseq_prune.modules.partial_norm import PartialLayerNorm
from fairseq_prune.pruning.surgery.structure import Coupled, Structure
from fairseq_prune.pruning.surgery.table import Owner

from . import attention

_ROUNDS = 10
_MOST_INDICES = 5_000_000  # for a whole net; DenseNet-161 needs 1.8 million


def trace(net: nn.Module, example: Tensor, prefix: str = "") -> Structure:
    """Find the coupled channels of a net.

    Left out, and so never removed, are channels that form the net's outputs or that a group norm or a foreign layer
    norm normalises. All groups of a grouped convolution lose equally many channels. In nets with attention, channels
    between two linear layers are neurons, and heads are units as a whole.

    Args:
        net: ``nn.Module``; not modified.
        example: images [2 or more, C, H, W] that the net takes.
        prefix: prefix of all names.

    Returns:
        :class:`~fairseq_prune.pruning.surgery.structure.Structure`, with vectors in the order of their
        first layer; without vectors if nothing can be removed.

    Raises:
        ValueError: torch-pruning is missing, or the net cannot be traced, e.g. because dependencies between
            channels never end (attention in windows: Swin, MaxViT).
    """
    net = copy.deepcopy(net).cpu().float()
    attention.pass_on(net)
    graph = _dependencies(net, example.cpu().float())
    names = {part: name for name, part in (*net.named_modules(), *net.named_parameters())}
    owners, vectors, seen, indices = {}, {}, set(), iter(range(_MOST_INDICES))
    attends = any(attention.blocks(net))
    for module, name in names.items():
        if _mixes(module) and module in graph.module2node and module not in seen:
            _bound(graph, indices)
            found = _group(graph, module, names, type(net).__name__)
            if found is None:
                continue
            seen.update(member for member, role, *_ in found if role == "writes")
            rows, coupled = _rows(found, names, prefix, name, attends)
            if coupled.readers and _in_step(rows, coupled):
                vectors[coupled.name] = coupled
                for entry, owner in rows:
                    owners.setdefault(entry, []).append(owner)
    for rows, coupled in attention.heads(net, prefix):
        vectors[coupled.name] = coupled
        for entry, owner in rows:
            owners.setdefault(entry, []).append(owner)
    return Structure({entry: tuple(of) for entry, of in owners.items()}, vectors)


UNTRACEABLE = {  # prefix of the name -> reason
    "swin": "its attention shifts windows",
    "maxvit": "its attention cuts images into windows and grids",
    "shufflenet": "it shuffles channels",
}


def refuse_untraceable(model: object, asked: str) -> None:
    """Refuse nets whose channels torch-pruning is known to lose track of.

    Args:
        model: options of the net; ``arch`` and ``torchvision_model`` are read if they exist.
        asked: the option that asks for these units, as the user gave it.

    Raises:
        ValueError: the message names the net, and units that it can lose.
    """
    names = {option: getattr(model, option, None) or "" for option in ("torchvision_model", "arch")}
    for option, name in names.items():
        why = next((why for beginning, why in UNTRACEABLE.items() if name.startswith(beginning)), None)
        if why:
            raise ValueError(
                f"{asked}: nothing of --{option.replace('_', '-')} {name} can be cut out, for {why}, and tracing loses "
                "its channels; give units of one tensor, e.g. --prune-units weight, row or column"
            )


def _mixes(module):
    """True for layers that make new channels; a depthwise convolution keeps those of the layer that it reads."""
    return isinstance(module, nn.Linear) or (isinstance(module, _ConvNd) and not _is_depthwise(module))


def _is_depthwise(module):
    return 1 < module.groups == module.in_channels == module.out_channels


def _dependencies(net, example):
    try:
        import torch_pruning
    except ModuleNotFoundError:
        raise ValueError("cutting vision models needs torch-pruning; pip install 'fairseq-prune[vision]'") from None
    graph = torch_pruning.DependencyGraph()
    with _one_reason(type(net).__name__), torch.enable_grad():
        graph.build_dependency(net, example, forward_fn=_as_in_training, verbose=False)
    return graph


@contextlib.contextmanager
def _one_reason(name):
    """Turn whatever torch-pruning raises, and its warning that it gives up, into a ValueError."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.filterwarnings("error", "Maximum recursive depth")
        try:
            yield
        except Exception as error:  # foreign code on a foreign net may raise anything
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise ValueError(
                f"{name} cannot be traced: torch-pruning loses its channels ({reason}), so none can be cut; give units "
                "of one tensor, e.g. --prune-units weight"
            ) from error


class _Bounded(list):
    """The dependencies of a layer, with a limit: in nets that it does not understand, torch-pruning would never stop.

    Args:
        dependencies: list.
        steps: iterator with one item for each step that a group may take.
        indices: iterator with one item for each channel index that may be translated.
    """

    def __init__(self, dependencies, steps, indices):
        super().__init__(dependencies)
        self._steps, self._indices = steps, indices

    def __iter__(self):
        _take(self._steps, 1)
        for dependency in super().__iter__():
            dependency.index_mapping = [m and self._bound(m) for m in dependency.index_mapping]
            yield dependency

    def _bound(self, mapping):
        def translate(channels):
            _take(self._indices, len(channels))
            return mapping(channels)

        mapping = vars(translate)["mapping"] = getattr(mapping, "mapping", mapping)
        return translate


def _take(supply, count):
    if sum(1 for _ in itertools.islice(supply, count)) < count:
        raise RecursionError("they lead back to where they came from")


def _bound(graph, indices):
    """Allow the next group a few visits of each layer: DenseNet-201 needs the most of torchvision's, 5.6."""
    nodes = graph.module2node.values()
    steps = iter(range(_ROUNDS * len(nodes)))
    for node in nodes:
        node.dependencies = _Bounded(list.__iter__(node.dependencies), steps, indices)


def _as_in_training(net, example):
    """Run in training mode, since auxiliary classifiers read channels, too, and run only there."""
    return net.train()(example)


def _group(graph, module, names, net_name):
    """What depends on a layer's output channels: list of (module, role, target indices, channels), or None."""
    import torch_pruning

    outputs = module.weight.shape[0]
    write = torch_pruning.prune_linear_out_channels if isinstance(module, nn.Linear) else None
    write = write or torch_pruning.prune_conv_out_channels
    with _one_reason(net_name):
        group = graph.get_pruning_group(module, write, list(range(outputs)))
    found = []
    for item in group:
        dep, indices = item
        target = dep.target.module
        if target not in names:
            continue
        role = _role(graph, dep.target, dep.handler)
        if role is None or not _is_whole(dep.target, role, indices):
            return None
        found.append((target, role, list(indices), list(item.root_idxs)))
    return found


def _is_whole(node, role, indices):
    """Whether ``indices`` are all channels that a node writes; what it reads may be several vectors, concatenated."""
    if role not in ("writes", "adds"):
        return True
    tensor = node.module if role == "adds" else node.module.weight
    return sorted(indices) == list(range(tensor.shape[_axis_of(tensor) if role == "adds" else 0]))


def _axis_of(parameter):
    """The channel axis of a parameter outside of layers, by torch-pruning's rule."""
    return max(axis for axis, length in enumerate(parameter.shape) if length > 1)


def _role(graph, node, handler):
    """What a layer or a parameter does with the channels; None if it cannot lose any."""
    module = node.module
    if isinstance(module, nn.Parameter):  # one value for each channel, or for each token and channel
        return "adds" if module.numel() == module.shape[_axis_of(module)] or module.dim() == 3 else None
    if isinstance(module, attention.SelfAttention):
        return "attends"
    if isinstance(module, (_BatchNorm, PartialLayerNorm)) or getattr(module, "num_parameters", 1) > 1:
        return "follows"
    if isinstance(module, _ConvNd) and _is_depthwise(module):
        return "follows"
    if isinstance(module, _ConvNd) and module.groups == module.out_channels > 1:
        return None  # torch-pruning mistakes it for depthwise
    if isinstance(module, (_ConvNd, nn.Linear)) and not isinstance(module, nn.modules.conv._ConvTransposeNd):
        return "writes" if graph.is_out_channel_pruning_fn(handler) else "reads"
    return None if next(module.parameters(), None) is not None else "passes"


def _rows(found, names, prefix, name, beside_attention):
    """The rows of one vector in the removal table, and the vector itself."""
    vector, rows, heads = prefix + name, [], 1
    order = {module: place for place, module in enumerate(names)}
    length = 1 + max(max(channels) for *_, channels in found)
    for module, role, indices, channels in sorted(found, key=lambda item: order[item[0]]):
        for part, tensor, axis, blocks in _parts(module, role):
            elements = _elements(tensor.shape[axis] * blocks, indices, channels, length)
            entry = ".".join(filter(None, (names[module], part)))
            rows.append((prefix + entry, Owner(axis, vector, elements, blocks=blocks)))
        heads = math.lcm(heads, module.groups if role in ("writes", "reads") and isinstance(module, _ConvNd) else 1)
    writers, readers = (_weights(found, order, names, prefix, role) for role in ("writes", "reads"))
    neurons = beside_attention and not {role for _, role, *_ in found} & {"attends", "adds"}
    normalised = any(isinstance(module, PartialLayerNorm) for module, *_ in found)
    kind = "neuron" if neurons else "channel"
    return rows, Coupled(vector, kind, length, writers, readers, heads=heads, normalised=normalised)


def _parts(module, role):
    """The tensors along the channels: (name in the module, tensor, axis, blocks)."""
    if role == "adds":
        yield "", module, _axis_of(module), 1
    elif role == "attends":
        yield from ((part, module.get_parameter(part), axis, 1) for part, axis in attention.CHANNELS)
    elif role == "reads":
        yield "weight", module.weight, 1, getattr(module, "groups", 1)
    elif role != "passes":
        for part, tensor in (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)):
            if tensor.dim():
                yield part, tensor, 0, 1


def _weights(found, order, names, prefix, side):
    """Names of the weights that write or read the channels, in the net's order."""
    members = sorted((item for item in found if item[1] in (side, "attends")), key=lambda item: order[item[0]])
    part = {"writes": "out_proj.weight", "reads": "in_proj_weight"}[side]
    parts = (f"{prefix}{names[m]}.{part if role == 'attends' else 'weight'}" for m, role, *_ in members)
    return tuple(dict.fromkeys(parts))


def _in_step(rows, vector):
    """Whether all groups of grouped convolutions can lose equally many channels."""
    fits = vector.length % vector.heads == 0 and vector.length > vector.heads
    return vector.heads == 1 or (fits and all(owner.elements is None for _, owner in rows))


def _elements(size, indices, channels, length):
    """The unit of each element along an axis; None if element i belongs to unit i."""
    elements = torch.full((size,), -1)
    elements[torch.tensor(indices)] = torch.tensor(channels)
    return None if size == length and torch.equal(elements, torch.arange(size)) else elements
