"""State of fairseq's mixed-precision optimizers that it does not save or does not expose."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .patching import patch_once

if TYPE_CHECKING:
    from fairseq.optim import FairseqOptimizer


def install() -> None:
    """Let a resumed run have the fp32 masters and the loss scale of one that was never interrupted.

    All is part of the optimizer's state, so it is restored where that is. ``MemoryEfficientFP16Optimizer`` has no
    masters.
    """
    from fairseq.optim import AMPOptimizer, FP16Optimizer, MemoryEfficientFP16Optimizer

    patch_once(AMPOptimizer, "clip_grad_norm", _noting_the_norm)
    patch_once(AMPOptimizer, "step", _stepping_with_gradients)
    patch_once(AMPOptimizer, "state_dict", _with_grad_scaler)
    patch_once(AMPOptimizer, "load_state_dict", _restoring_grad_scaler)
    for optimizer in (FP16Optimizer, MemoryEfficientFP16Optimizer):
        patch_once(optimizer, "state_dict", _with_loss_scaler)
        patch_once(optimizer, "load_state_dict", _restoring_loss_scaler)
    patch_once(FP16Optimizer, "state_dict", _with_masters)
    patch_once(FP16Optimizer, "load_state_dict", _restoring_masters)


def unscaled(optimizer: FairseqOptimizer) -> float | Tensor:
    """What gradients wait to be multiplied by with fp16: a float; a tensor [] once they were clipped."""
    return getattr(optimizer, "_multiply_factor", 1.0)


def will_be_skipped(optimizer: FairseqOptimizer) -> bool:
    """True if ``--amp`` is not going to take the step, as gradients overflowed; fp16 does not come to it then."""
    norm = getattr(optimizer, "fairseq_prune_norm", None)
    return norm is not None and not bool(norm.isfinite().all())


def _noting_the_norm(clip_grad_norm):
    """So that it need not be looked for in the gradient of every parameter."""

    def clip(self, *limits, **more):
        self.fairseq_prune_norm = clip_grad_norm(self, *limits, **more)
        return self.fairseq_prune_norm

    return clip


def _stepping_with_gradients(step):
    """torch's scaler fails where an approach has taken all gradients away: there is no step then.

    Else it stays fairseq's own, which divides gradients by the loss scale twice: its scaler is told of two optimizers,
    one that wraps the other. SGD takes smaller steps by that; with an adaptive optimizer only epsilon counts for more.
    """

    def step_if_any(self):
        if any(p.grad is not None for group in self.optimizer.param_groups for p in group["params"]):
            step(self)
        else:
            self.scaler.update()

    return step_if_any


def _with_grad_scaler(state_dict):
    """``--amp`` does not save its GradScaler: a resumed run begins with another scale, and overflows elsewhere."""

    def state(self):
        return {**state_dict(self), "grad_scaler": self.scaler.state_dict()}

    return state


def _restoring_grad_scaler(load_state_dict):
    def load(self, state, optimizer_overrides=None):
        load_state_dict(self, state, optimizer_overrides)
        if state.get("grad_scaler"):  # empty without a GPU; files of fairseq have none
            self.scaler.load_state_dict(state["grad_scaler"])

    return load


_COUNTERS = ("_iter", "_last_overflow_iter", "_last_rescale_iter", "_overflows_since_rescale")


def _with_loss_scaler(state_dict):
    """``--fp16`` saves its loss scale but not since when it has been that, so it would grow at other updates."""

    def state(self):
        if self.scaler is None:
            return state_dict(self)
        return {**state_dict(self), "loss_scaler": {name: getattr(self.scaler, name) for name in _COUNTERS}}

    return state


def _restoring_loss_scaler(load_state_dict):
    def load(self, state, optimizer_overrides=None):
        load_state_dict(self, state, optimizer_overrides)
        if self.scaler is not None:
            for name, value in state.get("loss_scaler", {}).items():
                setattr(self.scaler, name, value)

    return load


def _masters(optimizer):
    """The fp32 copies and the parameters in each, list of pairs: a copy is of one parameter, or flat of a device's."""
    masters, parameters = optimizer.fp32_params, optimizer.fp16_params
    if not isinstance(masters, dict):
        return [(master, [p]) for master, p in zip(masters, parameters, strict=True)]
    if len(masters) == 1:
        return [(master, parameters) for master in masters.values()]
    return [(master, [p for p in parameters if p.device.index == device]) for device, master in masters.items()]


def _with_masters(state_dict):
    """``--fp16`` saves the rounded weights only: what its fp32 copies know beyond them is lost."""

    def state(self):
        return {**state_dict(self), "fp32_params": [master.data for master, _ in _masters(self)]}

    return state


def _restoring_masters(load_state_dict):
    """A saved copy counts where it rounds to the weight that was loaded; others were masked or averaged since."""

    @torch.no_grad()
    def load(self, state, optimizer_overrides=None):
        load_state_dict(self, state, optimizer_overrides)
        for (master, parameters), saved in zip(_masters(self), state.get("fp32_params", ()), strict=False):
            weights = torch.cat([p.data.view(-1) for p in parameters]).view_as(master)
            saved = saved.to(master)
            master.copy_(torch.where(saved.to(weights.dtype) == weights, saved, weights.float()))

    return load
