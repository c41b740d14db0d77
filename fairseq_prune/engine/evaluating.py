"""Eval mode for a while."""

import contextlib

import torch


@contextlib.contextmanager
def evaluating(*modules):
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
