"""Modes for a while."""

import contextlib
from collections.abc import Iterator

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


@contextlib.contextmanager
def evaluating(*modules: nn.Module) -> Iterator[None]:
    """Switch modules to eval mode; afterwards each submodule is in its own mode again.

    cuDNN's recurrent layers have no gradients in eval mode, so they are off meanwhile.

    Args:
        modules: any ``nn.Module`` s.
    """
    modes = [(part, part.training) for module in modules for part in module.modules()]
    for module in modules:
        module.eval()
    try:
        with torch.backends.cudnn.flags(enabled=False, allow_tf32=torch.backends.cudnn.allow_tf32):
            yield
    finally:
        for part, training in modes:
            part.training = training


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
