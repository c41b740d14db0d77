"""Choosing by measurement between CSR and dense computation of a layer."""

import logging
import math
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

logger = logging.getLogger(__name__)
HOWS = ("auto", "dense", "csr")
MOST_LEFT = 0.5  # fraction of the weights above which CSR has never been faster: it is not even tried
_ROUNDS = 3
_GAIN = 0.95  # CSR has to take less than that part of dense's time
_NEAR = 1.15  # fractions left that differ by less than this factor are not timed twice


class Form(Protocol):
    """A layer computed from CSR matrices, which are made when they are first needed."""

    @property
    def left(self) -> float:
        """Fraction of its weights that is not zero; counted when it is first asked for."""

    def takes(self, x: Any) -> bool:
        """True for inputs that it can compute."""

    def rows(self, x: Tensor) -> int:
        """Rows of one product (count), on which it depends what is faster."""

    def sample(self, x: Tensor) -> Tensor:
        """As much of an input as tells the time of all of it."""

    def __call__(self, x: Tensor, *rest: Any) -> Any:
        """What the layer returns."""


class Faster:
    """A layer's forward: dense or CSR, timed on its first input of each size (power of two of rows).

    When the weights have changed, only a fraction between those that CSR has won at and those that it has lost at is
    timed again; and where the last weights were not used often enough to repay making the matrices, all is dense
    without a trial. Gradients, GPUs and other types than float32 are always dense.

    Args:
        name: of the layer, for the log.
        dense: the layer's own forward.
        build: function that makes its :class:`Form` of the weights as they are.
        how: "auto": by the clock; "csr" or "dense": always.
        clock: function that returns seconds; those of this thread, since other work on the machine would decide by
            chance, and for good.
    """

    def __init__(
        self,
        name: str,
        dense: Callable[..., Any],
        build: Callable[[], Form],
        how: str = "auto",
        clock: Callable[[], float] = time.thread_time,
    ):
        self._name, self._dense, self._build, self._how, self._clock = name, dense, build, how, clock
        self._break_even: dict[int, tuple[float, float]] = {}  # of a size: fractions left, won at and lost at
        self._costs: dict[int, tuple[float, float]] = {}  # of a size: seconds of dense, of CSR with every weight left
        self._making = 0.0  # seconds
        self._calls: Counter[int] = Counter()  # of each size, since the weights have changed
        self._calls_before: Counter[int] | None = None
        self.refresh()

    def refresh(self) -> None:
        """Forget what was built and chosen: the weights have changed."""
        self._form: Form | None = None
        self.chosen: dict[int, Callable[..., Any]] = {}
        if self._calls:
            self._calls_before, self._calls = self._calls, Counter()

    def __call__(self, x: Any, *rest: Any) -> Any:
        if self._how == "dense" or torch.is_grad_enabled() or not _is_plain(x):
            return self._dense(x, *rest)
        if self._form is None:
            self._form = self._build()
        if not self._form.takes(x):
            return self._dense(x, *rest)
        size = self._form.rows(x).bit_length()
        if size not in self.chosen:
            self.chosen[size] = self._choose(self._form, x, rest)
        self._calls[size] += 1
        return self.chosen[size](x, *rest)

    def _choose(self, form, x, rest):
        if self._how == "csr":
            return form
        size = form.rows(x).bit_length()
        won, lost = self._break_even.get(size, (-1.0, _NEAR * MOST_LEFT))
        if not self._repays(0.0) or form.left >= lost / _NEAR or not self._repays(form.left):  # counting costs, too
            return self._dense
        if form.left <= won * _NEAR:
            return form
        sample = form.sample(x)
        seconds, whole = self._time(form, sample, rest), x.numel() / sample.numel()
        self._costs[size] = whole * seconds[0], whole * seconds[1] / max(form.left, 1e-9)
        faster = seconds[1] < _GAIN * seconds[0]
        self._break_even[size] = (form.left, lost) if faster else (won, form.left)
        logger.info(
            "%s: %s for %d rows (dense %.3f ms, csr %.3f ms; %.1f %% of the weights are left)",
            self._name, "csr" if faster else "dense", form.rows(x), *(1000 * s for s in seconds),
            100 * form.left,
        )  # fmt: skip
        return form if faster else self._dense

    def _repays(self, left):
        """True if as many products as with the last weights save more seconds than making the matrices takes.

        Sizes that were not timed yet may save any.
        """
        if self._calls_before is None:
            return True
        saved = (
            calls * max(0.0, dense - left * csr)
            for size, calls in self._calls_before.items()
            for dense, csr in [self._costs.get(size, (math.inf, 0.0))]
        )
        return sum(saved) >= self._making

    def _time(self, form, x, rest):
        """Seconds of dense and CSR: the best of some rounds, after one that warms up and makes the matrices."""
        rounds = []
        for _ in range(_ROUNDS + 1):
            ticks = [self._clock()]
            for way in (self._dense, form):
                way(x, *rest)
                ticks.append(self._clock())
            rounds.append((ticks[1] - ticks[0], ticks[2] - ticks[1]))
        best = [min(seconds) for seconds in zip(*rounds[1:], strict=True)]
        self._making = max(self._making, rounds[0][1] - best[1])
        return best


def _is_plain(x):
    return torch.is_tensor(x) and x.device.type == "cpu" and x.dtype == torch.float32
