"""Of two ways to compute a layer the faster, by the clock."""

import logging
import time
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

logger = logging.getLogger(__name__)
HOWS = ("auto", "dense", "csr")
MOST_LEFT = 0.5  # fraction of the weights above which CSR has never been faster: it is not even tried
_ROUNDS = 3
_GAIN = 0.95  # CSR has to take less than that part of dense's time


class Form(Protocol):
    """A layer computed from CSR matrices, which are made when they are first needed.

    Attributes:
        left: fraction of its weights that is not zero.
    """

    left: float

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
    timed again. Gradients, GPUs and other types than float32 are always dense.

    Args:
        name: of the layer, for the log.
        dense: the layer's own forward.
        build: function that makes its :class:`Form` of the weights as they are.
        how: "auto": by the clock; "csr" or "dense": always.
        clock: function that returns seconds.
    """

    def __init__(
        self,
        name: str,
        dense: Callable[..., Any],
        build: Callable[[], Form],
        how: str = "auto",
        clock: Callable[[], float] = time.perf_counter,
    ):
        self._name, self._dense, self._build, self._how, self._clock = name, dense, build, how, clock
        self._break_even: dict[int, tuple[float, float]] = {}  # of a size: fractions left, won at and lost at
        self.refresh()

    def refresh(self) -> None:
        """Forget what was built and chosen: the weights have changed."""
        self._form: Form | None = None
        self.chosen: dict[int, Callable[..., Any]] = {}

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
        return self.chosen[size](x, *rest)

    def _choose(self, form, x, rest):
        if self._how == "csr":
            return form
        size = form.rows(x).bit_length()
        won, lost = self._break_even.get(size, (-1.0, MOST_LEFT))
        if not won < form.left < lost:
            return form if form.left <= won else self._dense
        seconds = self._time((self._dense, form), form.sample(x), rest)
        faster = seconds[1] < _GAIN * seconds[0]
        self._break_even[size] = (form.left, lost) if faster else (won, form.left)
        logger.info(
            "%s: %s for %d rows (dense %.3f ms, csr %.3f ms; %.1f %% of the weights are left)",
            self._name, "csr" if faster else "dense", form.rows(x), *(1000 * s for s in seconds),
            100 * form.left,
        )  # fmt: skip
        return form if faster else self._dense

    def _time(self, ways, x, rest):
        """Seconds of each way: the best of some rounds, after one that warms up."""
        best = [float("inf")] * len(ways)
        for turn in range(_ROUNDS + 1):
            for index, way in enumerate(ways):
                start = self._clock()
                way(x, *rest)
                if turn:
                    best[index] = min(best[index], self._clock() - start)
        return best


def _is_plain(x):
    return torch.is_tensor(x) and x.device.type == "cpu" and x.dtype == torch.float32
