"""The classes that torch may rebuild when it reads a file."""

import argparse
import sys

import numpy as np
import torch


def install() -> None:
    """torch >= 2.6 refuses fairseq's own files: they hold a Namespace and numpy scalars, audio models a Dictionary.

    See fairseq #5603 and #5610. These few types only rebuild data, so ``weights_only=True`` stays on.
    Files written under numpy 1 name the same objects by their old path.
    """
    if hasattr(sys.modules.get("fairseq.data"), "Dictionary"):  # do not import fairseq just to read a file
        torch.serialization.add_safe_globals([sys.modules["fairseq.data"].Dictionary])
    multiarray = getattr(np, "core" if np.__version__ < "2" else "_core").multiarray
    torch.serialization.add_safe_globals(
        [argparse.Namespace, np.ndarray, np.dtype]
        + [getattr(np.dtypes, name) for name in ("Float64DType", "Float32DType", "Int64DType", "Int32DType")]
        + [
            (getattr(multiarray, name), f"numpy.{core}.multiarray.{name}")
            for name in ("_reconstruct", "scalar")
            for core in ("core", "_core")
        ]
    )
