"""Cutting out of a checkpoint the layers that are masked as a whole, and therefore bypassed."""

import copy
from collections import OrderedDict
from collections.abc import Mapping

from torch import Tensor

from ..checkpoint.config import Config
from ..checkpoint.tensors import parameters
from ..families.transformer.stacks import option_of, stacks_in
from ..pruning.depth import DEPTH_KEY, after_cut, stored_depth
from ..pruning.masks import store_masks, stored_masks
from ..pruning.surgery.depth import cut_names, without_anything


def cut_masked_layers(state: Mapping[str, Tensor], config: Config) -> tuple[Mapping[str, Tensor], int]:
    """Cut them out of a state dict, of stacks whose depth the config can say.

    Args:
        state: state dict, with masks in its metadata; not modified.
        config: of its checkpoint; says afterwards how many layers are left.

    Returns:
        (state dict with its metadata, or ``state`` itself; layers removed (count)).
    """
    masks, names = stored_masks(state), parameters(state)
    gone = {stack: without_anything(names, stack, count, masks) for stack, count in stacks_in(state).items()}
    keep = {stack: ~layers for stack, layers in gone.items() if layers.any()}
    if not keep:
        return state, 0
    cut = OrderedDict(cut_names(state, keep))
    metadata = vars(cut)["_metadata"] = copy.deepcopy(getattr(state, "_metadata", OrderedDict()))
    store_masks(metadata, cut_names(masks, keep))
    metadata[""][DEPTH_KEY] = after_cut(stored_depth(state), keep)
    config.name_sizes({option_of(stack): int(kept.sum()) for stack, kept in keep.items()})
    return cut, sum(int((~kept).sum()) for kept in keep.values())
