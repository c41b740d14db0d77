"""Checkpoints that a driver writes between two trainings."""

import copy
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..compat import load_checkpoint
from ..files.atomic import atomic_file, copy_atomically
from ..files.locks import StrPath
from ..pruning.masks import Masks, store_masks


def write_pruned(
    source: Mapping[str, Any], weights: Mapping[str, Tensor], masks: Masks, path: StrPath, resumes: bool = False
) -> None:
    """Write a pruned descendant of a checkpoint: an ordinary file of fairseq.

    Args:
        source: the checkpoint's content; not modified.
        weights: dict of parameter name -> tensor.
        masks: dict of parameter name -> bool, True = keep.
        path: of the new file, written under a temporary name first.
        resumes: keep what a training resumes by: its optimizer's state, its schedules and its place in the data.
    """
    state = OrderedDict(source["model"])
    metadata = vars(state)["_metadata"] = copy.deepcopy(getattr(source["model"], "_metadata", OrderedDict()))
    # Adding 0 copies, keeps every weight to the bit, and makes 0 of the -0 that masking leaves.
    state.update({name: weight.detach().to(state[name]) + 0.0 for name, weight in weights.items()})
    store_masks(metadata, masks)
    fresh: dict[str, Any] = {} if resumes else {"extra_state": {}, "last_optimizer_state": None}
    content = {**source, "model": state, **fresh}
    with atomic_file(path) as file:
        torch.save(content, file)


def copy_checked(source: str, path: StrPath) -> None:
    """Put a copy of a checkpoint in another's place, if it can be loaded.

    Raises:
        ValueError: the source is missing or damaged; what was there stays.
    """
    load_checkpoint(source)
    copy_atomically(source, path)
