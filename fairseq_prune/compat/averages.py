"""Workarounds for fairseq's moving averages of weights (``--store-ema``)."""

from collections import OrderedDict

from torch import Tensor, nn

from .patching import patch_once

_COPIES = "ema_fp32_params"  # attribute of fairseq's EMA model that holds them; only this file uses it


def install() -> None:
    """Make it possible to mask the averages, and average nothing that must keep its exact values."""
    from fairseq.models.ema.ema import EMA

    patch_once(EMA, "__init__", _exposing_masters)
    patch_once(EMA, "restore", _with_versions)


def _exposing_masters(ema_init):
    """A task is given the EMA model but not its fp32 copies, which have to be masked as well.

    EMA would also average integers, which is an error, and connectivity, whose values must stay 0 or 1.
    """

    def init(self, model, *args, **kwargs):
        ema_init(self, model, *args, **kwargs)
        setattr(self.model, _COPIES, self.fp32_params)
        integers = {name for name, value in self.model.named_buffers() if not value.is_floating_point()}
        self.skip_keys = {*self.skip_keys, *integers, *getattr(model, "connectivity", ())}

    return init


def fp32_copies(ema_model: nn.Module) -> dict[str, Tensor]:
    """The fp32 copies of the averages: dict of parameter name -> tensor of the same shape; empty if there are none.

    Args:
        ema_model: the averages, as fairseq passes them to a task.
    """
    return getattr(ema_model, _COPIES, {})


def _with_versions(restore):
    """New averages are a plain dict without the versions of the modules; MNASNet cannot be loaded without them."""

    def load(self, state_dict, *args, **kwargs):
        if not hasattr(state_dict, "_metadata"):
            versions = {name: {"version": module._version} for name, module in self.model.named_modules()}
            state_dict = OrderedDict(state_dict)
            state_dict._metadata = versions
        return restore(self, state_dict, *args, **kwargs)

    return load


def start_averages_from_weights() -> None:
    """Let ``--store-ema`` start from a checkpoint that has no averages.

    fairseq tries to start them from the weights, but has deleted those by then (KeyError 'model').
    A second reference keeps the loaded weights in memory during the run, so call this only for runs with averages.
    """
    from fairseq import checkpoint_utils

    patch_once(checkpoint_utils, "load_checkpoint_to_cpu", _with_averages)


def _with_averages(load_checkpoint_to_cpu):
    def load(*args, **kwargs):
        state = load_checkpoint_to_cpu(*args, **kwargs)
        state["extra_state"].setdefault("ema", state["model"])
        return state

    return load
