"""``--lr-scheduler phased``: one learning rate while pruning, then a table of epochs counted from the removal."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import List

from fairseq.dataclass import FairseqDataclass
from fairseq.dataclass.configs import OptimizationConfig
from fairseq.optim import FairseqOptimizer
from fairseq.optim.lr_scheduler import FairseqLRScheduler, register_lr_scheduler
from omegaconf import II

from ..errors import one_line_errors
from ..needs import Need
from .following import FollowsRemoval

_PRUNES = Need(lambda run: run.plan.prunes, "--prune-method magnitude --prune-target 0.5")
_NOTHING = Need(lambda run: False, "--lr-ft 0:0.01,30:0.001")


@dataclass
class PhasedConfig(FairseqDataclass):
    """Options of the scheduler."""

    prune_lr: float = field(
        default=1e-3, metadata={"help": "learning rate until all is removed that is to be", "needs": _PRUNES}
    )
    lr_ft: str = field(
        default="0:0.01,30:0.001,60:0.0001,75:0.00001",
        metadata={"help": "from then on: epoch:rate pairs, epoch 0 being the one of the removal"},
    )
    lr: List[float] = field(
        default=II("optimization.lr"), metadata={"needs": _NOTHING, "unset": OptimizationConfig().lr}
    )


@register_lr_scheduler("phased", dataclass=PhasedConfig)
class Phased(FairseqLRScheduler, FollowsRemoval):
    """Holds ``--prune-lr`` until the pruner says that it has finished, then follows ``--lr-ft``.

    A run that prunes nothing has finished at its first update. What is left of the epoch of the removal counts as epoch
    0. Source: GReg's ``--lr_ft``; there, epochs before the first key get the last rate, here the first.

    Raises:
        SystemExit: ``--lr-ft`` is no table of rates.
    """

    def __init__(self, cfg: PhasedConfig, optimizer: FairseqOptimizer):
        super().__init__(cfg, optimizer)
        with one_line_errors():
            self._rates = parse_rates(cfg.lr_ft)
        self._epoch = 1
        self._removed_in: int | None = None
        self._set()

    def begin_finetuning(self, epoch: int | None) -> None:
        """As :class:`~.following.FollowsRemoval`: take the rate of that epoch, at once."""
        if self._removed_in != epoch:
            self._removed_in = epoch
            self._set()

    def step_begin_epoch(self, epoch: int) -> None:
        """The rate of an epoch that begins."""
        self._epoch = epoch
        self._set()

    def step_update(self, num_updates: int) -> float:
        """The rate in force."""
        return self.optimizer.get_lr()

    def state_dict(self) -> dict:
        """The position, as plain values."""
        return {**super().state_dict(), "epoch": self._epoch, "removed_in": self._removed_in}

    def load_state_dict(self, state: dict) -> None:
        """Take up the position of an interrupted run."""
        super().load_state_dict(state)
        self._epoch, self._removed_in = state.get("epoch", 1), state.get("removed_in")
        self._set()

    def _set(self):
        if self._removed_in is None:
            self.optimizer.set_lr(self.cfg.prune_lr)
        else:
            self.optimizer.set_lr(rate_at(self._rates, self._epoch - self._removed_in))


def parse_rates(text: str) -> dict[int, float]:
    """Read ``0:0.01,60:0.001``; braces and spaces may be left out.

    Returns:
        dict of epoch -> rate.

    Raises:
        ValueError: anything else.

    Example:
        >>> parse_rates("{0:0.01, 60:0.001}")
        {0: 0.01, 60: 0.001}
    """
    try:
        pairs = (item.split(":") for item in re.sub(r"[{}\s]", "", text).split(",") if item)
        rates = {int(epoch): float(rate) for epoch, rate in pairs}
    except ValueError:
        rates = {}
    if not rates or min(rates) < 0 or min(rates.values()) < 0:
        raise ValueError(f"--lr-ft {text}: write epoch:rate pairs, e.g. 0:0.01,60:0.001")
    return rates


def rate_at(rates: Mapping[int, float], epoch: int) -> float:
    """The rate of the largest key up to an epoch; before the first key, its rate.

    Example:
        >>> [rate_at({2: 0.1, 60: 0.01}, epoch) for epoch in (0, 2, 59, 60)]
        [0.1, 0.1, 0.1, 0.01]
    """
    return rates[max((key for key in rates if key <= epoch), default=min(rates))]
