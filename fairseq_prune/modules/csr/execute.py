"""Switching a model to sparse execution."""

import time
from collections.abc import Callable

from torch import nn

from ...compat.memory import keep_freed_memory
from .choice import HOWS, Faster
from .forms import form_of


def check_how(option: str, how: str | None) -> None:
    """Refuse an unknown way of execution.

    Args:
        option: that names it, e.g. ``"--prune-execute"``.
        how: its value; None: not given.

    Raises:
        ValueError: it is none.
    """
    if how is not None and how not in HOWS:
        raise ValueError(f"{option} {how}: give one of {', '.join(HOWS)}, e.g. {option} auto")


class Execution:
    """A model whose layers run as they are fastest.

    Args:
        model: in evaluation, on a CPU; its parameters, and what it says of itself, stay as they are.
        how: "dense": as it is; "csr": all layers that can; "auto": where the clock says so.
        clock: function that returns seconds.

    Attributes:
        layers: dict of a layer's name -> its :class:`~.choice.Faster`.
    """

    def __init__(self, model: nn.Module, how: str, clock: Callable[[], float] = time.thread_time):
        self.layers: dict[str, Faster] = {}
        if how != "dense":
            keep_freed_memory()
        for name, module in model.named_modules():
            if isinstance(vars(module).get("forward"), Faster):
                del module.forward  # of an execution before
            build = None if how == "dense" else form_of(module)
            if build is not None:
                module.forward = self.layers[name] = Faster(name, module.forward, build, how, clock)

    def refresh(self) -> None:
        """Choose anew: the weights have changed."""
        for layer in self.layers.values():
            layer.refresh()
