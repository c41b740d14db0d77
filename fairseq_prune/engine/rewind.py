"""Rewinding weights to their values at an earlier time."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from ..optim.masters import counts_of, homes, moments_of, set_count, values_of

if TYPE_CHECKING:
    from fairseq.optim import FairseqOptimizer


class Rewind:
    """A copy of all parameters and of the optimizer's state at one point of a run.

    With the moments go the steps that an optimizer has counted, by which Adam corrects moments that began at 0: those
    of an early point, corrected as late ones, would take steps many times as large.

    Args:
        parameters: dict of name -> parameter.
        point: epochs or updates, whichever the schedule counts, after which the copy is made.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter], point: int):
        self._parameters, self._point, self._values, self._moments = parameters, point, {}, {}
        self._counts: dict[str, dict[str, Any]] = {}  # all that is no moment

    def save_once(self, now: int, optimizer: FairseqOptimizer) -> None:
        """Copy what the optimizer steps, once its time has come; ``now`` counts as the point does."""
        if now < self._point or self._values:
            return
        masters = homes(optimizer)
        for name, parameter in self._parameters.items():
            self._values[name] = values_of(parameter, masters)[0].clone()
            self._moments[name] = [moment.clone() for moment in moments_of(parameter, masters, optimizer)]
            self._counts[name] = copy.deepcopy(counts_of(parameter, masters, optimizer))

    @torch.no_grad()
    def restore(self, optimizer: FairseqOptimizer) -> None:
        """Put the copy back; moments and counts that did not exist yet are zeroed."""
        masters = homes(optimizer)
        for name, parameter in self._parameters.items():
            for value in values_of(parameter, masters):
                value.copy_(self._values[name])
            before = self._moments[name]
            for place, moment in enumerate(moments_of(parameter, masters, optimizer)):
                moment.copy_(before[place]) if place < len(before) else moment.zero_()
            early = self._counts.get(name, {})
            for count, value in counts_of(parameter, masters, optimizer).items():
                set_count(parameter, masters, optimizer, count, early.get(count, 0 * value))

    def forget(self) -> None:
        """Drop the copy."""
        self._values, self._moments, self._counts = {}, {}, {}

    def state(self) -> dict[str, Any]:
        """Plain values and tensors."""
        return {"values": dict(self._values), "moments": dict(self._moments), "counts": dict(self._counts)}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take up the copy of an interrupted run."""
        for name, value in state["values"].items():
            device = self._parameters[name].device
            self._values[name] = value.to(device)
            self._moments[name] = [moment.to(device) for moment in state["moments"][name]]
            if name in state.get("counts", {}):  # files of earlier versions have none
                self._counts[name] = state["counts"][name]
