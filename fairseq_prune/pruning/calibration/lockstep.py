"""Several batches go through one model side by side, and wait for each other where a weight is multiplied.

So a weight can be changed once all batches have reached it and none has passed it: later layers see what earlier ones
have become, in one pass over the batches, however many layers there are.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from .inputs import Inputs
from .products import Multiplications, Product

Run = Callable[[Any], object]  # a batch through the model


class _Abandoned(BaseException):
    """Nobody waits for the rest of a pass."""


class Pass(threading.Thread):
    """One batch on its way. At any time either it runs or its owner does.

    Args:
        run: function of the batch.
        batch: of any kind.
        weights: dict of name -> parameter.
        stops: function of a product -> whether to wait there.

    Attributes:
        at: the :class:`~.products.Product` that it waits before; None once it has finished.
    """

    def __init__(self, run: Run, batch: Any, weights: Mapping[str, Tensor], stops: Callable[[Product], bool]):
        super().__init__(daemon=True)
        self._run, self._batch, self._weights, self._stops = run, batch, weights, stops
        self._go, self._done = threading.Semaphore(0), threading.Semaphore(0)
        self._error: BaseException | None = None
        self._abandoned = False
        self.at: Product | None = None
        self.start()

    def advance(self) -> None:
        """Let it run to where it waits next, or to its end. Raises what the model raises."""
        self.at = None
        self._go.release()
        self._done.acquire()
        if self._error:
            raise self._error

    def abandon(self) -> None:
        """End it where it is."""
        self._abandoned = True
        if self.is_alive():
            self._go.release()
            self.join()

    def run(self) -> None:
        """As of threads: gradients and modes are a thread's own."""
        self._go.acquire()
        try:
            if not self._abandoned:
                device = next(iter(self._weights.values())).device
                with torch.no_grad(), torch.cuda.device(device if device.type == "cuda" else -1):
                    with Multiplications(self._weights, self._meet):
                        self._run(self._batch)
        except _Abandoned:
            pass
        except BaseException as error:
            self._error = error
        self._done.release()

    def _meet(self, product: Product) -> None:
        if self._stops(product):
            self.at = product
            self._done.release()
            self._go.acquire()
            if self._abandoned:
                raise _Abandoned


def count_uses(weights: Mapping[str, Tensor], run: Run, batch: Any) -> Counter:
    """How often each weight is multiplied when a batch goes through: by name."""
    uses: Counter = Counter()
    with torch.no_grad(), Multiplications(weights, lambda product: uses.update([product.name])):
        run(batch)
    return uses


class Walk:
    """Goes through a model, weight by weight in the order of its multiplications.

    Args:
        weights: dict of name -> parameter.
        run: function of a batch: one forward pass at least.
        batches: this rank's; may be empty where others have some.
        uses: from :func:`count_uses` of a batch; a weight that it did not reach, as of rare words, may be another's.
        paired: gather products of pairs of inputs, too.
        agree: function of an int -> the smallest over ranks.
        average: function of a tensor -> its mean over ranks.
    """

    def __init__(
        self,
        weights: Mapping[str, Tensor],
        run: Run,
        batches: Sequence[Any],
        uses: Mapping[str, int],
        paired: bool,
        agree: Callable[[int], int] = int,
        average: Callable[[Tensor], Tensor] = lambda values: values,
    ):
        self._weights, self._run, self._batches, self._uses = weights, run, batches, uses
        self._paired, self._agree, self._average = paired, agree, average
        self._order = list(weights)
        self._left = set(weights)
        self._only: str | None = None
        self._last: tuple[list[Product], Inputs] | None = None

    def __iter__(self) -> Iterator[tuple[str, Inputs]]:
        """Yields (name, :class:`~.inputs.Inputs` over the batches of all ranks).

        Whoever takes the next item has changed the weight of the last one in place; what follows sees it so. Weights
        that one batch multiplies several times, as in a loop over time, come after a whole pass of their own, and so do
        those of which it is not known; weights that no batch multiplies do not come.
        """
        while self._left:
            passes = [Pass(self._run, batch, self._weights, self._stops) for batch in self._batches]
            try:
                yield from self._one_run(passes)
            finally:
                self._only = self._last = None
                for one in passes:
                    one.abandon()

    def _stops(self, product):
        return product.name == self._only if self._only else product.name in self._left

    def _one_run(self, passes):
        """Until all is done, or a weight that is used several times has needed the passes for itself."""
        for one in passes:
            one.advance()
        while self._left:
            here = min((self._order.index(one.at.name) for one in passes if one.at), default=len(self._order))
            if (first := self._agree(here)) == len(self._order):
                self._left.clear()  # what remains is on no batch's way
                return
            name = self._order[first]
            self._left.discard(name)
            if self._uses.get(name) != 1:
                yield name, self._all_uses(name, passes)
                return
            waiting = [one for one in passes if one.at and one.at.name == name]
            yield name, self._inputs(name, [one.at for one in waiting])
            for one in waiting if self._left else ():  # what comes behind the last is not needed
                one.advance()

    def _inputs(self, name, products):
        """Inputs of the products that wait; those of queries, keys and values are the same, and summed once."""
        last, self._last = self._last, None
        if last and products and [p.key for p in last[0]] == [p.key for p in products]:
            inputs = last[1]
        else:
            inputs = self._reduced(name, self._add(name, products))
        self._last = products, inputs  # holds the rows, whose place nothing else can take
        return inputs

    def _all_uses(self, name, passes):
        self._only, inputs = name, None
        for one in passes:
            while one.at:
                if one.at.name == name:
                    inputs = self._add(name, [one.at], inputs)
                one.advance()
        return self._reduced(name, inputs)

    def _add(self, name, products, inputs=None):
        for product in products:
            rows = product.rows()
            inputs = inputs or self._empty(name, len(rows))
            inputs.add(rows, product.columns)
        return inputs

    def _reduced(self, name, inputs):
        groups = -self._agree(-len(inputs.squares) if inputs else 0)
        return (inputs or self._empty(name, groups)).reduced(self._average)

    def _empty(self, name, groups):
        weight = self._weights[name]
        return Inputs.none(weight, groups, weight.shape[1:].numel(), self._paired)
