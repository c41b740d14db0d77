"""Masks travel with the weights, in the metadata of the state dict, and so does what layers were cut out.

``state_dict()`` carries an extra dict, ``_metadata``, that torch saves and hands to load hooks and
that strict loading ignores. Masks kept there follow the weights wherever fairseq takes them
(resume, ``--finetune-from-model``, EMA), and a pruned checkpoint stays an ordinary one that stock
fairseq loads without this package.
"""

import weakref
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from ..pruning.depth import DEPTH_KEY, Depth, read_depth
from ..pruning.masks import METADATA_KEY, Masks, unpack_mask, unpack_masks


def hook_state_dict(
    model: nn.Module,
    get_metadata: Callable[[], dict[str, Any]],
    adopt: Callable[[Masks, Mapping[str, Tensor], Depth], None],
) -> None:
    """Save masks and depth with a model's weights and adopt those that weights bring along.

    The hooks are plain closures, so a deep copy of the model (EMA) shares them; weights loaded
    into such a copy are not the run's and are passed over.

    Args:
        model: ``nn.Module``.
        get_metadata: function -> dict of key -> plain values: of ``METADATA_KEY`` parameter name -> mask from
            :func:`~fairseq_prune.pruning.masks.pack_mask`, of ``DEPTH_KEY`` :data:`~fairseq_prune.pruning.depth.Depth`.
        adopt: called whenever weights are loaded into the model, with a dict of parameter name -> bool mask (CPU),
            empty if they came without masks, with the state dict that they came with, and with their depth.
    """
    own = weakref.ref(model)

    def save(module, state_dict, prefix, local_metadata):
        for key in (METADATA_KEY, DEPTH_KEY):
            local_metadata.pop(key, None)  # of who pruned this model before
        local_metadata.update({key: value for key, value in get_metadata().items() if value})

    def load(module, state_dict, prefix, local_metadata, *_):
        if module is own():
            depth = read_depth(local_metadata.get(DEPTH_KEY, {}))
            adopt(unpack_masks(local_metadata.get(METADATA_KEY, {})), state_dict, depth)

    model.register_state_dict_post_hook(save)
    model.register_load_state_dict_pre_hook(load)


def masks_of_parts(model: nn.Module) -> Masks:
    """The masks that a model already has, as that of parts which loaded pruned weights themselves.

    (A model to be fine-tuned builds its pre-trained encoder by that one's own task, and loads it.)

    Args:
        model: ``nn.Module``.

    Returns:
        dict of parameter name -> bool mask (CPU).
    """
    parts = getattr(model.state_dict(), "_metadata", {})
    return {
        f"{part}.{name}".lstrip("."): unpack_mask(mask)
        for part, metadata in parts.items()
        for name, mask in metadata.get(METADATA_KEY, {}).items()
    }
