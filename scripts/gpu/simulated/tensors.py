"""Tensors on the simulated card, and the operations allowed on them."""

import torch
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import return_and_correct_aliasing

CARD = torch.device("privateuseone", 0)  # for torch's core, in which CUDA itself cannot be replaced
SHOWN = torch.device("cuda", 0)  # for programs
CPU = torch.device("cpu")
ops = torch.ops.aten
COPIES = {ops.copy_.default, ops._to_copy.default, ops._foreach_copy_.default, ops.lift_fresh.default}
FILLS = {ops.masked_fill.Tensor, ops.masked_fill_.Tensor, ops.fill.Tensor, ops.fill_.Tensor}
INDEXED = {ops.index.Tensor, ops.index_put.default, ops.index_put_.default, ops._index_put_impl_.default}


class OnCard(torch.Tensor):
    """A tensor on the card.

    Args:
        host: CPU tensor that holds its numbers.
    """

    is_cuda, device = True, SHOWN

    @staticmethod
    def __new__(cls, host):
        shape = {"strides": host.stride(), "storage_offset": host.storage_offset()}
        tensor = torch.Tensor._make_wrapper_subclass(cls, host.size(), **shape, dtype=host.dtype, device=CARD)
        tensor.host = host
        return tensor

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return compute(func, args, kwargs or {})

    @property
    def data(self):
        return torch.Tensor.data.__get__(self)

    @data.setter
    def data(self, value):
        torch.Tensor.data.__set__(self, value)
        self.host = value.host

    def new_tensor(self, data, dtype=None):
        return torch.tensor(data, dtype=dtype or self.dtype, device=CARD)

    def data_ptr(self):
        return self.host.data_ptr()

    def untyped_storage(self):
        return self.host.untyped_storage()

    def tolist(self):
        return self.host.tolist()

    def numpy(self, **_):
        raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() first")

    def __getitem__(self, places):
        return super().__getitem__(_lists_as_tensors(places))

    def __setitem__(self, places, values):
        super().__setitem__(_lists_as_tensors(places), values)

    def __deepcopy__(self, memo):
        copy = OnCard(self.host.detach().clone()).requires_grad_(self.requires_grad)
        if isinstance(self, torch.nn.Parameter):
            copy._is_param = True
        return memo.setdefault(id(self), copy)

    def __reduce_ex__(self, protocol):
        return self.host.__reduce_ex__(protocol)

    def __format__(self, form):
        return format(self.cpu(), form)

    def __repr__(self, **_):
        return f"{self.detach().cpu()} on {SHOWN}"


def _lists_as_tensors(places):
    each = places if isinstance(places, tuple) else (places,)
    return tuple(torch.tensor(place) if isinstance(place, list) else place for place in each)


def compute(func, args, kwargs):
    """Run an operation of torch's core on the CPU; its results are on the card, unless another device is requested."""
    device = kwargs.get("device")
    if func is ops._pack_padded_sequence.default:  # lengths and batch sizes are on the CPU
        rows, sizes = func(args[0].host, *args[1:])
        return OnCard(rows), sizes
    if device is None and func not in COPIES:
        _refuse_mixed(func, args, kwargs)
    host_args, host_kwargs = pytree.tree_map_only(OnCard, lambda tensor: tensor.host, (args, kwargs))
    result = func(*host_args, **host_kwargs | ({} if device is None else {"device": CPU}))
    if device == CPU or func is ops.copy_.default and not isinstance(args[0], OnCard):
        return result
    if func is ops.resize_.default:
        args[0].data = OnCard(result)
        return args[0]
    return return_and_correct_aliasing(func, args, kwargs, pytree.tree_map_only(torch.Tensor, OnCard, result))


def _refuse_mixed(func, args, kwargs):
    """Refuse tensors of both devices; but a card takes indices from the CPU and, elementwise, single numbers."""
    given = (args[0], *args[2:]) if func in INDEXED else args
    tensors = [value for value in pytree.arg_tree_leaves(*given, **kwargs) if isinstance(value, torch.Tensor)]
    here = [tensor for tensor in tensors if not isinstance(tensor, OnCard)]
    numbers = func in FILLS or torch.Tag.pointwise in func.tags
    strange = [tensor for tensor in here if tensor.dim() or not numbers]
    into_here = func._schema.is_mutable and not isinstance(tensors[0], OnCard)
    if strange and (len(here) < len(tensors) or func in INDEXED) or into_here:
        raise RuntimeError(f"{func}: expected all {len(tensors)} tensors on one device, found {len(here)} on cpu")
