"""Replacing ``cuda`` by the simulated card in what programs ask torch for."""

import contextlib

import torch
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from .tensors import CARD, CPU, OnCard, compute

RECURRENT = {torch.lstm, torch.lstm_cell, torch.gru, torch.gru_cell, torch.rnn_tanh, torch.rnn_relu}
FROM_NUMBERS = {torch.tensor, torch.as_tensor}


@contextlib.contextmanager
def card_as_cuda():
    """Within the context, the simulated card stands for ``cuda``, in this thread."""
    with _Core(), _Requests():
        yield


class _Core(TorchDispatchMode):
    """Handles operations of torch's core that have, or make, tensors on the card."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        there = kwargs.get("device") not in (None, CPU)
        if there or any(isinstance(value, OnCard) for value in pytree.arg_tree_leaves(*args, **kwargs)):
            return compute(func, args, kwargs)
        return func(*args, **kwargs)


class _Requests(TorchFunctionMode):
    """Replaces ``cuda`` by the card in calls of torch's functions."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func is torch.Tensor.cuda:
            return args[0].to(CARD)
        if func in RECURRENT:
            return _recurrent(func, args, kwargs)
        if func is torch.Tensor.to and len(args) > 1 and isinstance(args[1], str):
            args = args[0], torch.device(args[1]), *args[2:]
        if isinstance(kwargs.get("device"), str | int):
            kwargs["device"] = torch.device(kwargs["device"])
        args, kwargs = pytree.tree_map_only(torch.device, _inward, (args, kwargs))
        if func in FROM_NUMBERS and kwargs.get("device") == CARD:
            return _from_numbers(func, *args, **kwargs)
        return func(*args, **kwargs)


def _inward(device):
    return CARD if device.type == "cuda" else device


def _recurrent(func, args, kwargs):
    """Run recurrent layers, which use cuDNN on a real card, by the CPU's kernel and its derivatives."""
    tensors = [value for value in pytree.arg_tree_leaves(*args, **kwargs) if isinstance(value, torch.Tensor)]
    there = {isinstance(tensor, OnCard) for tensor in tensors if tensor.is_floating_point()}  # without batch sizes
    if len(there) > 1:
        raise RuntimeError(f"{func.__name__}: expected all tensors on one device")
    args, kwargs = pytree.tree_map_only(OnCard, torch.Tensor.cpu, (args, kwargs))
    result = func(*args, **kwargs)
    return pytree.tree_map_only(torch.Tensor, lambda tensor: tensor.to(CARD), result) if True in there else result


def _from_numbers(func, data, device, requires_grad=False, **kwargs):
    tensor = data if isinstance(data, OnCard) else func(data, **kwargs)
    return tensor.to(device).requires_grad_(requires_grad)
