"""Calling a task when its training has ended, which fairseq does not do."""

from collections.abc import Callable
from contextvars import ContextVar
from functools import partial

from .patching import patch_once

_Words = list[Callable[[], None]]
_RUN: ContextVar[_Words | None] = ContextVar("functions that the running training calls in the end", default=None)


def install() -> None:
    """Make every way in which fairseq starts a training, hydra and spawned ranks included, call these functions."""
    from fairseq.distributed import utils

    patch_once(utils, "call_main", _with_training_end)


def _with_training_end(call_main):
    def call(cfg, main, **kwargs):
        return call_main(cfg, partial(_run, main), **kwargs)

    return call


def _run(main, cfg, **kwargs):  # at module level, so that spawned processes can unpickle it
    before = _RUN.set([])
    try:
        main(cfg, **kwargs)
        for speak in _RUN.get() or ():
            speak()
    finally:
        _RUN.reset(before)


def at_training_end(speak: Callable[[], None]) -> None:
    """Call a function once the training that is being set up has ended without an error.

    Args:
        speak: function without arguments. Outside of a training, it is never called.
    """
    words = _RUN.get()
    if words is not None:
        words.append(speak)
