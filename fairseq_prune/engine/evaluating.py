"""Contexts that switch the mode of modules and restore it."""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


@contextlib.contextmanager
def evaluating(*modules: nn.Module) -> Iterator[None]:
    """Switch modules to eval mode; afterwards each submodule is in its own mode again.

    cuDNN's recurrent layers have no gradients in eval mode, so where there are any, cuDNN is off meanwhile.
    Convolutions take many times as long without it.

    Args:
        modules: any ``nn.Module`` s.
    """
    modes = [(part, part.training) for module in modules for part in module.modules()]
    for module in modules:
        module.eval()
    try:
        with _without_cudnn() if any(isinstance(part, nn.RNNBase) for part, _ in modes) else contextlib.nullcontext():
            yield
    finally:
        for part, training in modes:
            part.training = training


def _without_cudnn():
    was = torch.backends.cudnn
    return was.flags(False, was.benchmark, deterministic=was.deterministic, allow_tf32=was.allow_tf32)


@contextlib.contextmanager
def batch_statistics(module: nn.Module) -> Iterator[None]:
    """Let batch norm normalise by each batch, without following it; dropout stays as it is.

    Args:
        module: any ``nn.Module``.
    """
    norms = [part for part in module.modules() if isinstance(part, _BatchNorm)]
    before = [(part.training, part.track_running_stats) for part in norms]
    for part in norms:
        part.training, part.track_running_stats = True, False
    try:
        yield
    finally:
        for part, (training, tracks) in zip(norms, before, strict=True):
            part.training, part.track_running_stats = training, tracks


@contextlib.contextmanager
def keeping_activations(module: nn.Module) -> Iterator[None]:
    """Let parts under fairseq's ``--checkpoint-activations`` keep what they computed.

    What is recomputed has no derivatives by ``torch.autograd.grad``, only by a backward pass.

    Args:
        module: any ``nn.Module``.
    """
    parts: list[Any] = [part for part in module.modules() if hasattr(part, "precheckpoint_forward")]
    wrapped = [(part, part.forward) for part in parts]
    for part, _ in wrapped:
        part.forward = part.precheckpoint_forward
    try:
        yield
    finally:
        for part, forward in wrapped:
            part.forward = forward
