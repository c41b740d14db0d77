"""The mean of several checkpoints of one run, with their masks: removed weights stay exactly zero."""

import os
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import torch
from torch import Tensor

from ..checkpoint.srp_load import WHOLE
from ..checkpoint.write import write_checked
from ..compat import load_checkpoint
from ..pruning.masks import Masks, stored_masks
from ..pruning.packed_state import memory_place
from .compact import state_like, with_model

AFTER = "average checkpoints of one run, all from after its last removal"


def average_files(paths: Sequence[str], out: str) -> dict[str, Any]:
    """Write the mean of checkpoints, with the settings of the first one.

    Args:
        paths: of two or more; two are in memory at a time.
        out: the file to write.

    Returns:
        Plain values: ``checkpoints``, ``tensors`` and ``removed`` (count of weights that masks remove).

    Raises:
        ValueError: one cannot be read, has other tensors or shapes than the first, or has removed other weights; or
            two are the same file.
    """
    for one, other in combinations(filter(os.path.exists, paths), 2):
        if os.path.samefile(one, other):
            raise ValueError(f"CHECKPOINT {other}: is the same file as {one}, which would count twice; give each once")
    first = load_checkpoint(paths[0])
    model, masks = first["model"], stored_masks(first["model"])
    totals = {name: value.double() for name, value in model.items()}
    for path in paths[1:]:
        other = load_checkpoint(path)["model"]
        if reason := _difference(model, other):
            raise ValueError(f"{path}: not as {paths[0]}: {reason}; {AFTER}")
        for name, value in other.items():
            totals[name] += value
    mean = {name: _like(model[name], total / len(paths)) for name, total in totals.items()}
    write_checked(with_model(first, state_like(model, _tied(model, mean), masks)), out, load_checkpoint)
    removed = sum(int((~keep).sum()) for keep in masks.values())
    return {"checkpoints": len(paths), "tensors": len(mean), "removed": removed}


def _difference(model: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> str | None:
    """Why two models cannot be averaged, in words; None if they can."""
    if lacking := model.keys() ^ other.keys():
        return f"{min(lacking)} is in one only"
    for name, value in model.items():
        if value.shape != other[name].shape:
            return f"{name} is {list(other[name].shape)}, not {list(value.shape)}"
        if name in WHOLE and not torch.equal(value.float(), other[name].float()):
            return f"{name} differs"  # of equal widths, but other units were cut
    count = _removed_in_one(stored_masks(model), stored_masks(other))
    return f"{count:,} weights are removed in one only" if count else None


def _removed_in_one(masks: Masks, others: Masks) -> int:
    """How many weights one dict of masks removes and another does not (count)."""
    whole = {name: torch.ones_like(keep) for name, keep in (masks | others).items()}
    one, other = whole | masks, whole | others
    return sum(int((one[name] ^ other[name]).sum()) for name in whole)


def _like(value: Tensor, mean: Tensor) -> Tensor:
    """A mean in the dtype that fairseq's own script gives: fp16 becomes float32, integers are rounded down."""
    if not value.is_floating_point():
        return mean.floor().to(value.dtype)
    return mean.to(torch.promote_types(value.dtype, torch.float32))


def _tied(model: Mapping[str, Tensor], mean: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The means, those of tied tensors one tensor."""
    done: dict[tuple, Tensor] = {}
    places = {name: memory_place(value) if value.numel() else (name,) for name, value in model.items()}
    return {name: done.setdefault(places[name], mean[name]) for name in model}
