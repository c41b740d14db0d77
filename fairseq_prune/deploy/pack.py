"""Packed checkpoints as files."""

import os
from typing import Any

import torch

from ..checkpoint.write import write_checked
from ..compat import load_checkpoint
from ..pruning.packed_state import PACKED, memory_place, pack_checkpoint
from .compact import with_model


def pack_file(path: str, out: str, half: bool = False, keep_optimizer: bool = False) -> dict[str, Any]:
    """Write a packed checkpoint that has been read again and compared.

    Args:
        path: checkpoint, packed or not.
        out: the file to write.
        half: round matrices to fp16.
        keep_optimizer: keep what a run continues from.

    Returns:
        Plain values: ``before`` and ``after`` (bytes of the files), ``dense_fp32`` (bytes of the model's numbers, of
        tied ones once), ``ratio`` of the latter two, ``tensors`` and how many are ``packed`` (counts of names), and
        ``largest_error`` of a weight.

    Raises:
        ValueError: the checkpoint cannot be read, or what was written does not come back as it was.
    """
    original, before = load_checkpoint(path), os.path.getsize(path)
    model = original["model"]
    packed = pack_checkpoint(original if keep_optimizer else with_model(original, model), half)
    error = write_checked(packed, out, lambda written: _largest_error(model, load_checkpoint(written)["model"], half))
    dense, after = 4 * _numbers(model), os.path.getsize(out)
    sizes = {"before": before, "dense_fp32": dense, "after": after, "ratio": after / dense if dense else 1.0}
    return {**sizes, "tensors": len(model), "packed": len(packed[PACKED]), "largest_error": error}


def unpack_file(path: str, out: str) -> None:
    """Write the ordinary checkpoint that a packed one stands for.

    Raises:
        ValueError: the file cannot be read, or is not packed.
    """
    stored = load_checkpoint(path, unpack=False)
    if PACKED not in stored:
        raise ValueError(f"{path}: is not packed; use it as it is, or give a file of fairseq-prune pack")
    del stored
    write_checked(load_checkpoint(path), out, load_checkpoint)


def _largest_error(model, written, half):
    """The largest change of a weight; none but rounding may have changed any."""
    largest = 0.0
    for name, value in model.items():
        other, rounded = written[name], half and value.is_floating_point()
        same = value.shape == other.shape and value.dtype == other.dtype
        if not same or not (rounded or torch.allclose(value, other, rtol=0, atol=0, equal_nan=True)):
            raise ValueError(f"{name}: does not come back from the packed file as it was")
        if rounded and value.numel():
            largest = max(largest, float((value - other).abs().max()))
    return largest


def _numbers(model):
    """Numbers in a model (count), those of tied tensors once."""
    places = {memory_place(value): value.numel() for value in model.values()}
    return sum(places.values())
