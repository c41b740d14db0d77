"""Helpers for patching fairseq."""

import functools
import sys
from collections.abc import Callable
from types import ModuleType


def patch_once(holder: ModuleType | type, attribute: str, patch: Callable[[Callable], Callable]) -> None:
    """Replace a function by ``patch(function)``, unless that has been done already.

    Args:
        holder: the module or class that has the function.
        attribute: its name there; also list it in :mod:`.required`.
        patch: takes the function and returns what to call instead.
    """
    original = getattr(holder, attribute)
    done = getattr(original, "fairseq_prune_patches", ())
    if patch.__name__ in done:
        return
    patched = functools.wraps(original)(patch(original))
    vars(patched)["fairseq_prune_patches"] = (*done, patch.__name__)
    is_static = isinstance(vars(holder).get(attribute), staticmethod)
    setattr(holder, attribute, staticmethod(patched) if is_static else patched)


def fairseq_modules() -> list[ModuleType]:
    """All loaded modules of fairseq, after loading those in its registries."""
    import fairseq.tasks  # noqa: F401  (with it all models, criterions and optimizers)

    return [module for name, module in list(sys.modules.items()) if name.split(".")[0] in ("fairseq", "fairseq_cli")]
