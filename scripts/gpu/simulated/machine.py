"""The machine around the simulated card: what torch says about CUDA, and how models are moved to the card."""

import contextlib
import functools
import threading
from types import SimpleNamespace
from unittest import mock

import torch
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

from .modes import card_as_cuda

NAME = "a simulated GPU"
ABOUT = SimpleNamespace(major=9, minor=0, total_memory=2**33, name=NAME)
CUDA = {  # functions of torch.cuda
    "is_available": lambda: True,
    "is_current_stream_capturing": lambda: False,
    "device_count": lambda: 1,
    "current_device": lambda: 0,
    "set_device": lambda device: None,
    "device": lambda device: contextlib.nullcontext(),
    "get_device_capability": lambda device=None: (9, 0),
    "get_device_name": lambda device=None: NAME,
    "get_device_properties": lambda device=None: ABOUT,
    "get_rng_state": lambda device=None: torch.get_rng_state(),
    "set_rng_state": lambda state, device=None: torch.set_rng_state(state),
}
NOTHING = """max_memory_allocated memory_allocated reset_peak_memory_stats memory_summary empty_cache synchronize
    manual_seed manual_seed_all"""  # functions of torch.cuda that do nothing and return 0
to_device, begin_thread = torch.nn.Module._apply, threading.Thread._bootstrap_inner


@contextlib.contextmanager
def simulated_gpu():
    """Let programs in this process find one GPU. Enter before its first gradients, when torch counts devices."""
    backend, nothing = _backend(), dict.fromkeys(NOTHING.split(), lambda *_, **__: 0)
    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.multiple(torch.cuda, **CUDA, **nothing))
        for place, name, value in (
            (backend, "present", True),
            (torch.Tensor, "pin_memory", lambda tensor, *_: tensor),
            (torch.backends.cudnn, "is_acceptable", lambda tensor: False),
            (torch.nn.Module, "_apply", _to_device),
            (threading.Thread, "_bootstrap_inner", _begin_thread),
        ):
            stack.enter_context(mock.patch.object(place, name, value))
        stack.enter_context(card_as_cuda())
        yield


class _Backend:
    """What torch needs of a device type. A registered type cannot be removed, so ``present`` switches the card."""

    present = False
    current_device = staticmethod(lambda: 0)
    is_initialized = staticmethod(lambda: True)
    _is_in_bad_fork = staticmethod(lambda: False)
    manual_seed_all = staticmethod(lambda seed: None)

    def is_available(self):
        return self.present

    def device_count(self):
        return int(self.present)


@functools.cache
def _backend():
    backend = _Backend()
    _setup_privateuseone_for_python_backend("card", backend)
    return backend


def _to_device(module, function, recurse=True):
    """As ``Module._apply``; parameters stay the same objects, as with a real card."""
    _let_go_of_parameters(module)
    before = torch.__future__.get_swap_module_params_on_conversion()
    torch.__future__.set_swap_module_params_on_conversion(True)
    try:
        return to_device(module, function, recurse)
    finally:
        torch.__future__.set_swap_module_params_on_conversion(before)


def _let_go_of_parameters(module):
    """Detach tensors that a module has computed from its parameters, as weight norms do."""
    for name, value in vars(module).items():
        if isinstance(value, torch.Tensor):
            vars(module)[name] = value.detach()


def _begin_thread(thread):
    """Enter the modes in a new thread, which does not inherit them."""
    with card_as_cuda():
        begin_thread(thread)
