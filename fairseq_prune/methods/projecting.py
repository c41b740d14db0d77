"""Projection: each selection sets weights to zero once, then all weights train on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor

from ..optim.masters import homes, moments_of, values_of
from ..pruning.enforce import mask_tensor
from .approach import APPROACHES, Approach, Select, Timed

if TYPE_CHECKING:
    from fairseq.optim import FairseqOptimizer


@dataclass(frozen=True)
class Projection(Timed):
    """Every selection sets what it does not keep to zero, once; then all weights train on.

    Periodic iterative hard thresholding, what the original of the filter, stripe, pattern and irregular methods does.
    """


@APPROACHES.add(Projection)
class Projecting(Approach):
    """Sets what a selection does not keep to zero, with its moments; then all weights train on."""

    takes_evidence = True

    def reselect(self, select: Select, optimizer: FairseqOptimizer) -> None:
        masters = homes(optimizer)
        for name, keep in select(None).masks.items():
            parameter = self.parameters[name]
            for tensor in (*values_of(parameter, masters), *moments_of(parameter, masters, optimizer)):
                mask_tensor(tensor, keep)

    def validated_values(self, select: Select) -> dict[str, Tensor]:
        return self.masked(select(None).masks)

    def state(self) -> dict[str, Any] | None:
        return {} if self.active else None
