"""State of fairseq's mixed-precision optimizers that fairseq does not save or does not expose."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .patching import patch_once

if TYPE_CHECKING:
    from fairseq.optim import FairseqOptimizer


def install() -> None:
    """Give a resumed run the fp32 masters and the loss scale of a run that was never interrupted.

    They are saved in the optimizer's state, and so restored with it. ``MemoryEfficientFP16Optimizer`` has no
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
    """The factor by which fp16 gradients have yet to be multiplied: a float, or a tensor [] after clipping."""
    return getattr(optimizer, "_multiply_factor", 1.0)


def will_be_skipped(optimizer: FairseqOptimizer) -> bool:
    """True if ``--amp`` will skip the step because gradients overflowed; fp16 does not get this far then."""
    norm = getattr(optimizer, "fairseq_prune_norm", None)
    return norm is not None and not bool(norm.isfinite().all())


def _noting_the_norm(clip_grad_norm):
    """Keep the gradient norm, so that overflows need not be searched for in every parameter's gradient."""

    def clip(self, *limits, **more):
        self.fairseq_prune_norm = clip_grad_norm(self, *limits, **more)
        return self.fairseq_prune_norm

    return clip


def _stepping_with_gradients(step):
    """torch's scaler fails if an approach has removed all gradients: no step is taken then.

    Otherwise the step is fairseq's own, which divides gradients by the loss scale twice, since its scaler sees two
    optimizers, one wrapping the other. This makes SGD's steps smaller; for adaptive optimizers, it only makes epsilon
    weigh more.
    """

    def step_if_any(self):
        if any(p.grad is not None for group in self.optimizer.param_groups for p in group["params"]):
            step(self)
        else:
            self.scaler.update()

    return step_if_any


def _with_grad_scaler(state_dict):
    """``--amp`` does not save its GradScaler: a resumed run starts at another scale and overflows at other updates."""

    def state(self):
        return {**state_dict(self), "grad_scaler": self.scaler.state_dict()}

    return state


def _restoring_grad_scaler(load_state_dict):
    def load(self, state, optimizer_overrides=None):
        load_state_dict(self, state, optimizer_overrides)
        if state.get("grad_scaler"):  # empty without a GPU; missing in files that plain fairseq wrote
            self.scaler.load_state_dict(state["grad_scaler"])

    return load


_COUNTERS = ("_iter", "_last_overflow_iter", "_last_rescale_iter", "_overflows_since_rescale")


def _with_loss_scaler(state_dict):
    """``--fp16`` saves its loss scale but not when it last changed, so it would grow at other updates."""

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
    """List of (fp32 copy, its parameters): a copy holds one parameter, or all parameters of a device, flattened."""
    masters, parameters = optimizer.fp32_params, optimizer.fp16_params
    if not isinstance(masters, dict):
        return [(master, [p]) for master, p in zip(masters, parameters, strict=True)]
    if len(masters) == 1:
        return [(master, parameters) for master in masters.values()]
    return [(master, [p for p in parameters if p.device.index == device]) for device, master in masters.items()]


def _with_masters(state_dict):
    """``--fp16`` saves only the rounded weights: the extra precision of its fp32 copies is lost."""

    def state(self):
        return {**state_dict(self), "fp32_params": [master.data for master, _ in _masters(self)]}

    return state


def _restoring_masters(load_state_dict):
    """A saved value is used if it rounds to the loaded weight; otherwise the weight was masked or averaged since."""

    @torch.no_grad()
    def load(self, state, optimizer_overrides=None):
        load_state_dict(self, state, optimizer_overrides)
        for (master, parameters), saved in zip(_masters(self), state.get("fp32_params", ()), strict=False):
            weights = torch.cat([p.data.view(-1) for p in parameters]).view_as(master)
            saved = saved.to(master)
            master.copy_(torch.where(saved.to(weights.dtype) == weights, saved, weights.float()))

    return load
