"""Checking that a checkpoint's contents have the types that fairseq takes for granted."""

import argparse
from collections.abc import Mapping

import torch

from .unreadable import why_no_model

_KINDS = {  # types of the optional entries, which may also be missing or None
    "cfg": Mapping, "args": argparse.Namespace, "extra_state": Mapping, "last_optimizer_state": Mapping,
    "optimizer_history": list, "task_state": Mapping, "criterion": Mapping,
}  # fmt: skip
_MOST_LAYERS = 10_000  # no model has that many; building them would never end


def check_contents(state: object) -> None:
    """Refuse what is not a valid checkpoint.

    Args:
        state: the contents of the file.

    Raises:
        ValueError: it is not valid; the message says what is wrong.
    """
    if not isinstance(state, Mapping) or "model" not in state:
        raise ValueError(why_no_model(state))
    if not isinstance(state["model"], Mapping):
        raise ValueError("its model is not a mapping of names to tensors")
    if not state["model"]:
        raise ValueError("its model has no tensors")
    _check_metadata(getattr(state["model"], "_metadata", {}))
    for name, tensor in state["model"].items():
        if not isinstance(name, str) or not torch.is_tensor(tensor):
            raise ValueError(f"{name} of its model is not a tensor")
    for name, value in (*state.items(), ("metadata", getattr(state["model"], "_metadata", {}))):
        if not all(map(_is_whole, _tensors(value))):
            raise ValueError(f"its {name} has a tensor that is sparse, quantised, or without its numbers")
    for name, kind in _KINDS.items():
        if not isinstance(state.get(name), kind | None):
            raise ValueError(f"its {name} is not a {kind.__name__}")
    _check_config(state.get("cfg"), state.get("args"))
    _check_history(state.get("optimizer_history"))


def _check_metadata(modules):
    """torch compares the versions in the metadata; masks are in the root module's entry."""
    if not isinstance(modules, Mapping) or not all(isinstance(entry, Mapping) for entry in modules.values()):
        raise ValueError("the metadata of its model is not a mapping of mappings")
    if not all(isinstance(entry.get("version"), int | None) for entry in modules.values()):
        raise ValueError("the metadata of its model has a version that is not a number")


def _tensors(value):
    """All tensors in nested plain values."""
    if torch.is_tensor(value):
        yield value
    elif isinstance(value, argparse.Namespace):
        yield from _tensors(vars(value))
    elif isinstance(value, (Mapping, list, tuple)):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _tensors(inner)


def _is_whole(tensor):
    """True for a dense tensor that stores each of its elements, unlike one that expands a byte to terabytes."""
    if tensor.layout != torch.strided or tensor.is_meta or tensor.is_quantized:
        return False
    return tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes()


def _check_config(groups, args):
    """Check that the options of model and task are named values, and that no number of layers is absurd."""
    for name in ("model", "task"):
        if not isinstance((groups or {}).get(name), Mapping | argparse.Namespace | None):
            raise ValueError(f"the {name} of its cfg has no named values")
    model = args if groups is None else groups.get("model")
    options = vars(model) if isinstance(model, argparse.Namespace) else model or {}
    for name, value in options.items():
        if str(name).endswith("layers") and isinstance(value, (int, float)) and not value <= _MOST_LAYERS:
            raise ValueError(f"its config has {name} {value:.0f}, more than {_MOST_LAYERS:,}")


def _check_history(history):
    for entry in history or ():
        if not isinstance(entry, Mapping):
            raise ValueError("its optimizer_history is not a list of mappings")
        if not isinstance(entry.get("num_updates", 0), int):
            raise ValueError("its optimizer_history counts no updates")
