"""The weights of a checkpoint, packed where that saves bytes."""

from collections import OrderedDict
from collections.abc import Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor

from .masks import METADATA_KEY
from .packing import check_note, pack_tensor, unpack_tensor, unpacked_bytes

PACKED = "packed"  # of a checkpoint: dict of entry name -> how it is read; packed entries are in "model" as ever


def pack_checkpoint(checkpoint: Mapping[str, Any], half: bool = False) -> dict[str, Any]:
    """Pack the model of a checkpoint.

    Tied entries stay tied and are packed once; metadata, masks in it, and all but the model stay as they are. Masks
    and packed tensors share their bits, which a file then holds once.

    Args:
        checkpoint: what a file of fairseq-train holds, not packed; not modified.
        half: as of :func:`~.packing.pack_tensor`.

    Returns:
        Another dict, of tensors and plain values.
    """
    state = checkpoint["model"]
    masks = getattr(state, "_metadata", {}).get("", {}).get(METADATA_KEY, {})
    mask_at = {memory_place(state[name]): mask for name, mask in masks.items() if name in state}
    model, notes, done = _like(state), {}, {}
    for name, tensor in state.items():
        place = memory_place(tensor)
        if place not in done:
            done[place] = pack_tensor(tensor, mask_at.get(place), half)
        model[name], note = done[place]
        if note:
            notes[name] = note
    return {**checkpoint, "model": model, PACKED: notes}


def unpack_checkpoint(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """Undo :func:`pack_checkpoint`; a checkpoint that is not packed stays as it is.

    Args:
        checkpoint: of a file that may hold anything; its model is known to be a mapping of names to tensors.

    Raises:
        ValueError: what is packed cannot be read, or would take more memory than its bits allow.
    """
    if PACKED not in checkpoint:
        return checkpoint
    stored, notes = checkpoint["model"], checkpoint[PACKED]
    _check(stored, notes)
    model, done = _like(stored), {}
    for name, values in stored.items():
        model[name] = values
        if name in notes:
            key = _source(values, notes[name])
            if key not in done:
                with _naming(name):
                    done[key] = unpack_tensor(values, notes[name])
            model[name] = done[key]
    return {key: value for key, value in checkpoint.items() if key != PACKED} | {"model": model}


def _check(stored, notes):
    """Refuse notes of nothing, and more memory than the most that one bit can stand for, a number of 8 bytes."""
    if not isinstance(notes, Mapping):
        raise ValueError("its packed is not a mapping of names to notes")
    asked, there = {}, {}
    for name, note in notes.items():
        if name not in stored:
            raise ValueError(f"{name} is packed in it, but not there")
        with _naming(name):
            check_note(note)
        asked[_source(stored[name], note)] = unpacked_bytes(stored[name], note)
        for tensor in (stored[name], note.get("keep", stored[name])):
            there[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
    if sum(asked.values()) > 64 * sum(there.values()):
        raise ValueError(f"its {sum(there.values()):,} packed bytes cannot stand for {sum(asked.values()):,}")


@contextmanager
def _naming(name):
    try:
        yield
    except ValueError as error:
        raise ValueError(f"its packed {name} is damaged: {error}") from None


def memory_place(tensor: Tensor) -> tuple:
    """Where a tensor is in memory, to be compared: tied ones are at the same place. Empty ones have no place."""
    return tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride()


def _source(values, note):
    """What a packed tensor is read from: tied ones have the same."""
    bits = (note["keep"].data_ptr(), tuple(note["shape"])) if "keep" in note else ()
    return *memory_place(values), *bits, note.get("dtype")


def _like(state: Mapping[str, Tensor]) -> OrderedDict[str, Tensor]:
    """An empty state dict with the metadata of another."""
    empty: OrderedDict[str, Tensor] = OrderedDict()
    if hasattr(state, "_metadata"):
        vars(empty)["_metadata"] = state._metadata
    return empty
