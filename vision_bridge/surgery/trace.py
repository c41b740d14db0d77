"""Which channels of a vision model leave together, found by tracing it.

The package torch-pruning follows one example through autograd's graph and says which channels of which
layers depend on each other; what is kept of its answer is plain data, our removal table.
"""

import copy
import warnings

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from fairseq_prune.pruning.surgery.structure import Coupled, Structure
from fairseq_prune.pruning.surgery.table import Owner


def trace(net, example, prefix=""):
    """Find the coupled channels of a net.

    Left out, so never removed: what leads to the net's outputs, what normalises over channels (layer and
    group norm), convolutions in groups (but depthwise ones are followed), and parameters outside of layers.

    Args:
        net: ``nn.Module``; not modified.
        example: images [2 or more, C, H, W] that it takes.
        prefix: goes before all names.

    Returns:
        :class:`~fairseq_prune.pruning.surgery.structure.Structure`, its vectors in the order of their
        first layer; without any where nothing can leave.

    Raises:
        ValueError: torch-pruning is missing, or the net cannot be traced.
    """
    net = copy.deepcopy(net).cpu().float()
    graph = _dependencies(net, example.cpu().float())
    names = {module: name for name, module in net.named_modules()}
    owners, vectors, seen = {}, {}, set()
    for module, name in names.items():
        if _mixes(module) and module in graph.module2node and module not in seen:
            found = _group(graph, module, names)
            if found is None:
                continue
            seen.update(member for member, role, *_ in found if role == "writes")
            rows, coupled = _rows(found, names, prefix, name)
            if coupled.readers:
                vectors[coupled.name] = coupled
                for entry, owner in rows:
                    owners.setdefault(entry, []).append(owner)
    return Structure({entry: tuple(of) for entry, of in owners.items()}, vectors)


def _mixes(module):
    """True for layers that make new channels; a depthwise convolution has those of the layer that it reads."""
    return isinstance(module, nn.Linear) or (isinstance(module, _ConvNd) and module.groups == 1)


def _dependencies(net, example):
    try:
        import torch_pruning
    except ModuleNotFoundError:
        raise ValueError("cutting vision models needs torch-pruning; pip install 'fairseq-prune[vision]'") from None
    graph = torch_pruning.DependencyGraph()
    with warnings.catch_warnings(), torch.enable_grad():
        warnings.simplefilter("ignore")
        try:
            return graph.build_dependency(net, example, forward_fn=_as_in_training, verbose=False)
        except Exception as error:  # of many kinds: it runs foreign code on a foreign net
            raise ValueError(f"{type(net).__name__} cannot be traced: {_first_line(error)}") from error


def _as_in_training(net, example):
    """Auxiliary classifiers read channels too, and only run in training."""
    return net.train()(example)


def _first_line(error):
    return (str(error).splitlines() or [type(error).__name__])[0]


def _group(graph, module, names):
    """What depends on a layer's output channels: list of (module, role, target indices, channels), or None."""
    import torch_pruning

    outputs = module.weight.shape[0]
    write = torch_pruning.prune_linear_out_channels if isinstance(module, nn.Linear) else None
    write = write or torch_pruning.prune_conv_out_channels
    try:
        group = graph.get_pruning_group(module, write, list(range(outputs)))
    except Exception as error:
        raise ValueError(f"{names[module]} cannot be traced: {_first_line(error)}") from error
    found = []
    for item in group:
        dep, indices = item
        target = dep.target.module
        if target not in names:
            if isinstance(target, nn.Parameter):
                return None
            continue
        role = _role(graph, target, dep.handler)
        if role is None or (role == "writes" and sorted(indices) != list(range(len(target.weight)))):
            return None
        found.append((target, role, list(indices), list(item.root_idxs)))
    return found


def _role(graph, module, handler):
    """What a layer does with the channels; None for what cannot lose any."""
    if isinstance(module, _BatchNorm) or (isinstance(module, nn.PReLU) and module.num_parameters > 1):
        return "follows"
    if isinstance(module, _ConvNd) and module.groups > 1:
        return "follows" if module.groups == module.in_channels == module.out_channels else None
    if isinstance(module, (_ConvNd, nn.Linear)) and not isinstance(module, nn.modules.conv._ConvTransposeNd):
        return "writes" if graph.is_out_channel_pruning_fn(handler) else "reads"
    return None if next(module.parameters(), None) is not None else "passes"


_AXIS = {"writes": 0, "follows": 0, "reads": 1}


def _rows(found, names, prefix, name):
    """The rows of one vector for the removal table, and the vector."""
    vector, rows, parts = prefix + name, [], {"writes": [], "reads": []}
    order = {module: place for place, module in enumerate(names)}
    length = 1 + max(max(channels) for *_, channels in found)
    for module, role, indices, channels in sorted(found, key=lambda item: order[item[0]]):
        if role == "passes":
            continue
        for part, tensor in (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)):
            axis = _AXIS[role]
            if tensor.dim() > axis and (role != "reads" or part == "weight"):
                elements = _elements(tensor.shape[axis], indices, channels, length)
                rows.append((f"{prefix}{names[module]}.{part}", Owner(axis, vector, elements)))
        if role in parts:
            parts[role].append(f"{prefix}{names[module]}.weight")
    writers, readers = (tuple(dict.fromkeys(parts[role])) for role in ("writes", "reads"))
    return rows, Coupled(vector, "channel", length, writers, readers)


def _elements(size, indices, channels, length):
    """The unit of each element of an axis; None where element i belongs to unit i."""
    elements = torch.full((size,), -1)
    elements[torch.tensor(indices)] = torch.tensor(channels)
    return None if size == length and torch.equal(elements, torch.arange(size)) else elements
