"""Cutting units out of tensors, optimizer states and modules.

Everything happens in place: a parameter stays the same object with a smaller value, so ties and the
optimizer's references live on.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd as _Conv

from ..registry import Registry
from .table import Owner, Table

SIZES: Registry[Callable[[nn.Module], None]] = Registry("sizes")  # set the sizes that modules keep as attributes


def cut_tensor(tensor: Tensor, owners: Iterable[Owner], keep: Mapping[str, Tensor]) -> Tensor:
    """Cut out of a tensor what the removed units own.

    Args:
        tensor: any tensor.
        owners: its :class:`~.table.Owner` s.
        keep: dict of vector name -> bool tensor [length], True = keep; vectors not in it stay whole.

    Returns:
        A new contiguous tensor, or ``tensor`` itself if nothing of it is cut.
    """
    for (axis, blocks), kept in _kept_by_axis(owners, keep).items():
        if blocks == 1:
            tensor = tensor.index_select(axis, kept.nonzero().view(-1).to(tensor.device))
        else:
            tensor = _cut_blocks(tensor, axis, kept.view(blocks, -1).to(tensor.device))
    return tensor


def shape_left(shape: Sequence[int], owners: Iterable[Owner], keep: Mapping[str, Tensor]) -> list[int]:
    """The shape that :func:`cut_tensor` gives a tensor of one; further arguments as there."""
    left = list(shape)
    for (axis, blocks), kept in _kept_by_axis(owners, keep).items():
        left[axis] = int(kept.sum()) // blocks
    return left


def _cut_blocks(tensor, axis, kept):
    """Leave out other elements of an axis in every block of rows, as many of each; ``kept``: bool [blocks, length]."""
    rows = tensor.unflatten(0, (len(kept), -1)).movedim(axis + 1, 1)
    return rows[kept].unflatten(0, (len(kept), -1)).movedim(1, axis + 1).flatten(0, 1).contiguous()


def _kept_by_axis(owners, keep):
    """What is kept along each axis that loses something, dict of (axis, blocks) -> bool tensor [its elements]."""
    kept: dict[tuple[int, int], Tensor] = {}
    for owner in owners:
        if owner.vector in keep and not keep[owner.vector].all():
            along = owner.along(keep[owner.vector], otherwise=True)
            place = owner.axis, owner.blocks
            kept[place] = kept[place] & along if place in kept else along
    return kept


def cut_state(state: Mapping[str, Tensor], table: Table, keep: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Cut a state dict.

    Args:
        state: dict of entry name -> tensor.
        table: from :func:`~.table.build_table`.
        keep: as in :func:`cut_tensor`.

    Returns:
        dict with the same names; entries without owners are the same objects.
    """
    return {name: cut_tensor(value, table.get(name, ()), keep) for name, value in state.items()}


def cut_statistics(state: dict, shape: torch.Size, owners: Iterable[Owner], keep: Mapping[str, Tensor]) -> None:
    """Cut an optimizer's running statistics of one parameter, in place.

    Step counters stay. Statistics of another shape than the parameter's (Adafactor's) cannot be
    cut: then all of them are forgotten, as if the parameter were new.

    Args:
        state: the torch optimizer's state of that parameter.
        shape: of the parameter before the cut.
        owners: its :class:`~.table.Owner` s.
        keep: as in :func:`cut_tensor`.
    """
    if not _kept_by_axis(owners, keep):
        return
    tensors = {key: value for key, value in state.items() if torch.is_tensor(value) and value.dim()}
    if any(value.shape != shape for value in tensors.values()):
        state.clear()
        return
    for key, value in tensors.items():
        state[key] = cut_tensor(value, owners, keep)


def entries(module: nn.Module) -> dict[str, Tensor]:
    """All parameters and buffers of a module by every name they have, ties included (dict)."""
    return {
        **dict(module.named_parameters(remove_duplicate=False)),
        **dict(module.named_buffers(remove_duplicate=False)),
    }


def replace_values(module: nn.Module, values: Mapping[str, Tensor]) -> None:
    """Replace the values of parameters and buffers by ones of other shapes; the objects stay the same.

    Those whose shape does not change are left as they are, gradients included.

    Args:
        module: ``nn.Module``.
        values: dict of entry name -> tensor.
    """
    mine = entries(module)
    for name, value in values.items():
        if mine[name].shape != value.shape:
            _forget_gradients(mine[name])
            mine[name].data = value
    for layer in module.modules():
        for follow in SIZES.values():
            follow(layer)


@SIZES.add("torch")
def _follow_shapes(layer):
    """Set the sizes that torch's layers keep as attributes to those of their tensors."""
    if isinstance(layer, nn.Linear):
        layer.out_features, layer.in_features = layer.weight.shape
    elif isinstance(layer, nn.Embedding):
        layer.embedding_dim = layer.weight.shape[1]
    elif isinstance(layer, _Conv):
        outputs, inputs = layer.weight.shape[:2]
        layer.groups = min(layer.groups, outputs)  # a depthwise one has a group for each channel
        layer.out_channels, layer.in_channels = outputs, inputs * layer.groups
    elif isinstance(layer, _BatchNorm):
        tensors = (layer.weight, layer.running_mean)
        layer.num_features = next((len(t) for t in tensors if t is not None), layer.num_features)


def _forget_gradients(tensor):
    """Drop a tensor's gradient, and make autograd forget its shape.

    Autograd's accumulator lives as long as any graph that it is in, such as that of a loss in a
    reference cycle, and insists on the old shape. A change of dtype is what makes torch replace it.
    """
    tensor.grad = None
    if tensor.requires_grad:
        tensor.data = tensor.new_empty(0, dtype=torch.float32 if tensor.dtype == torch.float16 else torch.float16)
