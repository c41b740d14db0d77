"""Checkpoints that a driver writes between trainings."""

import copy
from collections import OrderedDict

import torch

from ..compat import load_checkpoint
from ..files.whole import copy_whole, whole_file
from ..pruning.masks import store_masks


def write_pruned(source, weights, masks, path, resumes=False):
    """Write a pruned descendant of a checkpoint: an ordinary file of fairseq.

    Args:
        source: the checkpoint's content; not modified.
        weights: dict of parameter name -> tensor.
        masks: dict of parameter name -> bool, True = keep.
        path: of the new file, written under a temporary name first.
        resumes: keep what a training resumes by: its optimizer's state, its schedules and its place in the data.
    """
    state = OrderedDict(source["model"])
    state._metadata = copy.deepcopy(getattr(source["model"], "_metadata", OrderedDict()))
    # Adding 0 copies, keeps every weight to the bit, and makes 0 of the -0 that masking leaves.
    state.update({name: weight.detach().to(state[name]) + 0.0 for name, weight in weights.items()})
    store_masks(state._metadata, masks)
    fresh = {} if resumes else {"extra_state": {}, "last_optimizer_state": None}
    content = {**source, "model": state, **fresh}
    with whole_file(path) as file:
        torch.save(content, file)


def copy_checked(source, path):
    """Put a copy of a checkpoint in another's place, if it can be loaded.

    Raises:
        ValueError: the source is missing or damaged; what was there stays.
    """
    load_checkpoint(source)
    copy_whole(source, path)
