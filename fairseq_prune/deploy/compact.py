"""Cutting out of a checkpoint's Transformer what computes nothing; and what cutting checkpoints of all kinds shares."""

import copy
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import torch
from fairseq.utils import get_activation_fn
from torch import Tensor

from ..checkpoint.config import Config
from ..families.transformer.table import ATTENTION, BLOCKS, FEED_FORWARD, block_of, kind_of, transformer_table
from ..pruning.masks import Masks, store_masks, stored_masks
from ..pruning.packed_state import memory_place
from ..pruning.surgery.cut import cut_state, cut_tensor
from ..pruning.surgery.structure import evenly
from ..pruning.surgery.table import Table, build_table, lengths_of
from .compact_layers import cut_masked_layers
from .dead_units import find_dead

CUT_ORDER = (("residual",), ("head",), ("qk", "vo", "neuron"))  # a narrower stream may leave more units dead
_KEPT = ("train_iterator", "val_loss", "best", "metrics", "previous_training_time")  # fairseq's own extra state


def compact(checkpoint: dict[str, Any]) -> tuple[dict[str, Any], dict[str, int]]:
    """Cut a checkpoint. Its model computes the same in eval mode.

    Optimizer, averages (EMA) and the pruner's state do not fit the cut model and are left out, so
    the result is to be evaluated or finetuned, not resumed. Models of SRP architectures lose units
    of all kinds; stock Transformers neurons, heads, dimensions of attention, and layers that are masked whole.

    Args:
        checkpoint: what a file of fairseq-train holds; not modified.

    Returns:
        (checkpoint, dict of kind of unit -> units removed).

    Raises:
        ValueError: nothing to cut, no config, or shapes that are not of one model.
    """
    config = Config(checkpoint)
    original, layers = cut_masked_layers(checkpoint["model"], config)
    state, table = _state_and_table(original, config)
    activation = get_activation_fn(config.model.get("activation_fn") or "relu")
    cut, removed = remove_dead_units(state, table, config.heads, activation)
    if not removed and not layers:
        raise ValueError(_why_nothing(table, config.arch))
    removed += Counter({"layer": layers})
    if not _is_srp(original):
        _leave_whole_attention(cut, original)
        config.name_pruning_task()
    return {**with_model(checkpoint, cut), **config.stored}, dict(removed)


def _is_srp(state):
    return "weighted_layer_norm" in state


def _state_and_table(state, config):
    """The state dict, with an entry ``heads`` for attention where heads can be cut, and its removal table."""
    if _is_srp(state):
        return state, transformer_table(state, "decoder.embedding_c" not in state)
    if config.model.get("quant_noise_pq"):  # which counts in blocks of the whole attention
        return state, build_table(FEED_FORWARD, state)
    state = _with_heads(state, config)
    return state, build_table(BLOCKS, state)


def _with_heads(state, config):
    """With an entry ``heads`` for every attention block, as blocks have that were cut."""
    blocks = {block_of(owner.vector) for (owner,) in build_table(ATTENTION, state).values()}
    counts = {f"{block}.heads": config.heads(block) for block in blocks if f"{block}.q_proj.weight" in state}
    found = OrderedDict(state)
    vars(found)["_metadata"] = getattr(state, "_metadata", OrderedDict())
    for name, count in counts.items():
        found.setdefault(name, torch.arange(count, dtype=torch.float32))
    return found


def _leave_whole_attention(cut, original):
    """Drop what :func:`_with_heads` added for blocks that have lost nothing."""
    for name in [name for name in cut if name.endswith(".heads") and name not in original]:
        block = name.removesuffix(".heads")
        if all(cut[e].shape == original[e].shape for e in original if e.startswith(f"{block}.")):
            del cut[name]


def with_model(checkpoint: Mapping[str, Any], state: Mapping[str, Tensor]) -> dict[str, Any]:
    """A checkpoint with other weights, and without what a run of the old ones would continue from."""
    extra = {key: value for key, value in checkpoint.get("extra_state", {}).items() if key in _KEPT}
    return {**checkpoint, "model": state, "extra_state": extra, "last_optimizer_state": None}


def state_like(original: Mapping[str, Tensor], tensors: Mapping[str, Tensor], masks: Masks) -> OrderedDict[str, Tensor]:
    """A state dict of other tensors and masks with the metadata of a state dict.

    Args:
        original: state dict; not modified.
        tensors: dict of entry name -> tensor.
        masks: dict of parameter name -> bool; those that keep everything are left out.

    Returns:
        ``OrderedDict``.
    """
    state = OrderedDict(tensors)
    metadata = vars(state)["_metadata"] = copy.deepcopy(getattr(original, "_metadata", OrderedDict()))
    store_masks(metadata, masks)
    return state


def _why_nothing(table, arch):
    if not table:
        return f"nothing to cut: architecture {arch} has no Transformer layers, and no others can be cut"
    return (
        "nothing to cut: no connectivity is 0, no neuron or head lacks an input or a reader, no attention dimension "
        "does so in every head; prune whole units first, e.g. --prune-units row --prune-scope layer"
    )


def remove_dead_units(
    state: Mapping[str, Tensor], table: Table, heads: Callable[[str], int], activation: Callable[[Tensor], Tensor]
) -> tuple[OrderedDict[str, Tensor], Counter[str]]:
    """Cut a state dict.

    Args:
        state: state dict, with or without masks in its metadata; not modified.
        table: removal table; only vectors in it lose units.
        heads: function: name of an attention block's vector -> its heads (count).
        activation: function of the feed-forward blocks.

    Returns:
        (state dict with its metadata, ``Counter`` of kind -> units removed). Tied entries are still
        tied; masks are cut along, and removed weights that got the constant of a unit are no longer
        masked.
    """
    original, masks = state, stored_masks(state)
    removed: Counter[str] = Counter()
    state = OrderedDict(original)
    for kinds in CUT_ORDER:
        keep = {}
        for vector, length in lengths_of(table, {name: value.shape for name, value in state.items()}).items():
            kind = kind_of(vector)
            dead = find_dead(state, vector, activation) if kind in kinds and length else None
            if dead is None:
                continue
            gone = evenly(dead.units, _heads(state, vector, heads) if kind in ("qk", "vo") else 1, stay=1)
            if gone.any():
                keep |= {name: ~units for name, units in _along(state, vector, gone).items()}
                removed[kind] += int(gone.sum())
                _hand_over(state, masks, dead, gone)
        state, masks = cut_tied(state, table, keep), cut_state(masks, table, keep)
    return state_like(original, state, masks), removed


def _heads(state, vector, heads):
    """Heads that are left of the block whose dimensions a vector is (count)."""
    stored = state.get(f"{block_of(vector)}.heads")
    return heads(vector) if stored is None else len(stored)


def _along(state, vector, gone):
    """What is removed with units of a vector, dict of vector name -> bool: with heads all their dimensions."""
    if kind_of(vector) != "head":
        return {vector: gone}
    widths = {
        f"{vector}_qk_c": len(state[f"{vector}.q_proj.weight"]),
        f"{vector}_vo_c": len(state[f"{vector}.v_proj.weight"]),
    }
    return {vector: gone} | {name: gone.repeat_interleave(width // len(gone)) for name, width in widths.items()}


def _hand_over(state, masks, dead, gone):
    """Add what the removed units hand on to the bias of the layer that reads them."""
    if dead.reader is None:
        return
    gone = gone.repeat_interleave(len(dead.constant) // len(gone))  # heads, by their dimensions
    weight, name = state[f"{dead.reader}.weight"], f"{dead.reader}.bias"
    change = weight[:, gone].double() @ dead.constant[gone]
    if change.any():
        bias = state[name]  # a sum in fp16 would not be the same function
        state[name] = (bias.double() + change).to(torch.promote_types(bias.dtype, torch.float32))
        if name in masks:
            masks[name] = masks[name] | (state[name] != 0)


def cut_tied(state: Mapping[str, Tensor], table: Table, keep: Mapping[str, Tensor]) -> OrderedDict[str, Tensor]:
    """As :func:`~..pruning.surgery.cut.cut_state`; entries that are views of the same memory stay so."""
    done: dict[tuple, Tensor] = {}
    cut: OrderedDict[str, Tensor] = OrderedDict()
    for name, value in state.items():
        owners = table.get(name, ())
        place = (*memory_place(value), owners)
        cut[name] = done.setdefault(place, cut_tensor(value, owners, keep)) if value.numel() else value
    return cut
