"""Putting weights back to where they once were."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from ..optim.masters import homes, moments_of, values_of

if TYPE_CHECKING:
    from fairseq.optim import FairseqOptimizer


class Rewind:
    """A copy of all parameters and of the optimizer's moments, from one point of a run.

    Args:
        parameters: dict of name -> parameter.
        point: epochs or updates, whichever the schedule counts, after which the copy is made.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter], point: int):
        self._parameters, self._point, self._values, self._moments = parameters, point, {}, {}

    def save_once(self, now: int, optimizer: FairseqOptimizer) -> None:
        """Copy what the optimizer steps, once its time has come; ``now`` counts as the point does."""
        if now < self._point or self._values:
            return
        masters = homes(optimizer)
        for name, parameter in self._parameters.items():
            self._values[name] = values_of(parameter, masters)[0].clone()
            self._moments[name] = [moment.clone() for moment in moments_of(parameter, masters, optimizer)]

    @torch.no_grad()
    def restore(self, optimizer: FairseqOptimizer) -> None:
        """Put the copy back; moments that did not exist yet are zeroed."""
        masters = homes(optimizer)
        for name, parameter in self._parameters.items():
            for value in values_of(parameter, masters):
                value.copy_(self._values[name])
            before = self._moments[name]
            for place, moment in enumerate(moments_of(parameter, masters, optimizer)):
                moment.copy_(before[place]) if place < len(before) else moment.zero_()

    def forget(self) -> None:
        """Drop the copy."""
        self._values, self._moments = {}, {}

    def state(self) -> dict[str, Any]:
        """Plain values and tensors."""
        return {"values": dict(self._values), "moments": dict(self._moments)}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take up the copy of an interrupted run."""
        for name, value in state["values"].items():
            device = self._parameters[name].device
            self._values[name] = value.to(device)
            self._moments[name] = [moment.to(device) for moment in state["moments"][name]]
