"""Names that numpy 2 dropped and fairseq still uses: ``--sample-break-mode eos``, ``--num-batch-buckets``, and more."""

from types import ModuleType, SimpleNamespace

import numpy as np

from .patching import fairseq_modules


def _percentile(a, q, *args, interpolation="linear", **kwargs):
    """``interpolation`` is called ``method`` today."""
    return np.percentile(a, q, *args, **{"method": interpolation, **kwargs})


# What each of them meant.
_DROPPED = {"int": int, "float": float, "compat": SimpleNamespace(long=int), "percentile": _percentile}


def install() -> None:
    """Give fairseq's modules a numpy that still has these names; everyone else's numpy stays as it is."""
    older = ModuleType(np.__name__, np.__doc__)
    older.__dict__.update({**vars(np), **_DROPPED})
    for module in fairseq_modules():
        if vars(module).get("np") is np:
            vars(module)["np"] = older
