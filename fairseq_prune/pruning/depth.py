"""A record of the layers that were cut out of a model; it travels with the weights, as masks do."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

DEPTH_KEY = "prune_layers"  # in a state dict's metadata of the root module

Depth = dict[str, dict[str, Any]]  # stack -> {"of": layers before any cut (count), "kept": numbers of those that stay}


def read_depth(stored: object) -> Depth:
    """Check what a file holds under :data:`DEPTH_KEY`.

    Args:
        stored: anything.

    Raises:
        ValueError: it is damaged.
    """
    if not isinstance(stored, dict) or not all(map(_is_cut, stored.values())):
        raise ValueError("what it says of its layers is damaged: no numbers of layers that stay")
    return stored


def _is_cut(entry):
    if not isinstance(entry, dict) or not isinstance(entry.get("of"), int) or not isinstance(entry.get("kept"), list):
        return False
    kept = entry["kept"]
    whole = bool(kept) and all(isinstance(number, int) for number in kept)
    return whole and kept == sorted(set(kept)) and 0 <= kept[0] and kept[-1] < entry["of"]


def stored_depth(model_state: Mapping[str, object]) -> Depth:
    """The depth that a state dict's metadata tells; {} if no layer was cut out."""
    return read_depth(getattr(model_state, "_metadata", {}).get("", {}).get(DEPTH_KEY, {}))


def after_cut(depth: Depth, keep: Mapping[str, Tensor]) -> Depth:
    """The depth after another cut.

    Example:
        >>> import torch
        >>> after_cut({"a": {"of": 4, "kept": [0, 2, 3]}}, {"a": torch.tensor([True, False, True])})
        {'a': {'of': 4, 'kept': [0, 3]}}
    """
    found = dict(depth)
    for stack, kept in keep.items():
        before = depth.get(stack, {"of": len(kept), "kept": list(range(len(kept)))})
        found[stack] = {**before, "kept": [before["kept"][i] for i in kept.nonzero().flatten().tolist()]}
    return found
