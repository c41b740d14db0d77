"""Pruning for fairseq: point ``--user-dir`` at this folder, or import it before or after fairseq.

The import costs nothing by itself: what has to happen to torch and to fairseq happens when they are there.
"""

import importlib.util
import sys


def register() -> None:
    """Put the workarounds in force and register everything with fairseq; idempotent, and happens by itself."""
    from . import compat

    compat.install()
    import vision_bridge

    from .criterions import srp  # noqa: F401
    from .models import rnn_lm, rnn_seq2seq, srp_transformer  # noqa: F401
    from .optim import phased, srp_adam  # noqa: F401
    from .tasks import srp_translation, stateful_language_modeling, stock  # noqa: F401

    vision_bridge.register()


def _before_fairseq():
    """Called when torch arrives, which fairseq imports first: what has to be in force before fairseq itself."""
    from .compat import logs, safe_globals

    logs.give_no_advice()
    safe_globals.install()


class _Arrival:
    """An import hook: calls a function once, as soon as a package has been imported.

    It stands first among Python's finders and leaves the search to the others. A room of ours that needs the package
    imports it first in its own ``__init__``, so the function never meets a room that is half loaded.
    """

    def __init__(self, package, function):
        self._package, self._function = package, function

    def find_spec(self, name, path=None, target=None):
        if name != self._package:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            run = self._then(spec.loader.exec_module)
            spec.loader.exec_module = run  # type: ignore[method-assign]  # of this one module, which is loaded once
        return spec

    def _then(self, execute):
        def execute_and_call(module):
            execute(module)
            self._function()

        return execute_and_call


for _package, _function in (("torch", _before_fairseq), ("fairseq", register)):
    if _package in sys.modules:
        _function()
    else:
        sys.meta_path.insert(0, _Arrival(_package, _function))


def __getattr__(name):
    """What :mod:`.api` offers, loaded at its first use."""
    if name in ("compact", "inspect", "load", "prune", "save"):
        from . import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
