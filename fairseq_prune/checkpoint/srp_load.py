"""Loading weights of any widths into an SRP Transformer, and its additional entries in the state dict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..errors import one_line_errors
from ..pruning.masks import METADATA_KEY, pack_mask, unpack_mask
from ..pruning.surgery.cut import cut_state, cut_tensor, entries, replace_values
from ..pruning.surgery.structure import evenly
from ..pruning.surgery.table import lengths_of

if TYPE_CHECKING:
    from fairseq.models.transformer import TransformerModel


_ROUNDED = 0.01  # rounding error that averaging may add to a whole number
WHOLE = ("encoder.pos_emb_mask", "decoder.pos_emb_mask", "weighted_layer_norm")  # integer buffers


def store_as_floats(model: TransformerModel, state: dict[str, Tensor], prefix: str, metadata: dict[str, Any]) -> None:
    """State-dict hook: store integers as float32, since scripts that average checkpoints divide the sums.

    Args:
        model: the SRP Transformer that is stored.
        state: the state dict, changed in place.
        prefix: prefix of the entry names.
        metadata: not used.
    """
    for name in WHOLE:
        state[prefix + name] = state[prefix + name].float()


def adapt_state(
    model: TransformerModel, state: dict[str, Tensor], prefix: str, metadata: dict[str, Any], *_: object
) -> None:
    """Load hook: add what stock checkpoints lack, check shapes, and take them over.

    Args:
        model: the SRP Transformer that loads.
        state: the state dict, changed in place.
        prefix: prefix of the entry names; nothing is done unless it is empty.
        metadata: the state dict's metadata for this module; masks in it are cut, too.

    Raises:
        SystemExit: no cut of this architecture has these shapes, or the layer-norm mode is wrong.
    """
    if prefix or not any(name in state for name in model.table):
        return
    with one_line_errors():
        _read_whole_numbers(state)
        _check_fixed_axes(model, state)
        _complete(model, state)
        _check_widths(model, state)
        _settle_layer_norm(model, state)
    if model.cuts_on_load:
        keep = {v.name: ~evenly(state[v.name] == 0, v.heads) for v in model.vectors if v.name in state}
        _cut_masks(metadata.get(METADATA_KEY, {}), state, model.table, keep)
        state.update(cut_state(state, model.table, keep))
    mine = entries(model)
    replace_values(model, {name: mine[name].new_empty(state[name].shape) for name in model.table if name in state})


def _cut_masks(packed, state, table, keep):
    """Cut packed masks in place; masks that no longer match their tensor's shape were cut in an earlier load."""
    for name, mask in packed.items():
        if name in state and mask["shape"] == list(state[name].shape):
            packed[name] = pack_mask(cut_tensor(unpack_mask(mask), table.get(name, ()), keep))


def _read_whole_numbers(state):
    """Read integers stored as floats, or averages of equal integers; refuse averages of different ones."""
    for name in filter(state.__contains__, WHOLE):
        stored = state[name].float()
        state[name] = stored.round().long()
        if (stored - state[name]).abs().max() > _ROUNDED:
            raise ValueError(
                f"{name} is an average of different numbers: the checkpoints that were averaged had been cut "
                "differently; average those of one run, all from before or all from after its cut"
            )


def _check_fixed_axes(model, state):
    """Check axes that no vector owns, such as the vocabulary: cutting never changes them, so they must match."""
    mine = entries(model)
    for name, owners in model.table.items():
        if name in state:
            theirs, ours = state[name].shape, mine[name].shape
            fixed = set(range(len(ours))) - {owner.axis for owner in owners}
            if len(theirs) != len(ours) or any(theirs[axis] != ours[axis] for axis in fixed):
                raise ValueError(
                    f"{name} has shape {tuple(theirs)} in the checkpoint, {tuple(ours)} in this model; use the data "
                    "(its dictionaries) and the architecture options of its training"
                )


def _complete(model, state):
    """Add connectivity 1 and all positions, in case the weights come from a stock Transformer."""
    lengths = lengths_of(model.table, {name: value.shape for name, value in state.items()})
    for vector in model.vectors:
        if vector.name not in state and vector.name in lengths:
            if lengths[vector.name] != vector.length:
                raise ValueError(
                    f"the checkpoint has {lengths[vector.name]} units of {vector.name}, this architecture "
                    f"{vector.length}; repeat the architecture options of its training"
                )
            state[vector.name] = torch.ones(vector.length)
    for side in ("encoder", "decoder"):
        state.setdefault(f"{side}.pos_emb_mask", torch.arange(getattr(model.cfg, side).embed_dim))
    state.setdefault("weighted_layer_norm", model.weighted_layer_norm.clone())


def _check_widths(model, state):
    lengths = lengths_of(model.table, {name: value.shape for name, value in state.items()})
    for vector in model.vectors:
        length = lengths.get(vector.name, vector.length)
        if length > vector.length or length % vector.heads:
            raise ValueError(
                f"the checkpoint has {length} units of {vector.name}, this architecture {vector.length} in "
                f"{vector.heads} head(s); repeat the architecture options of its training"
            )


def _settle_layer_norm(model, state):
    """Settle the layer-norm mode: a cut model keeps that of its cut, an uncut one gets the one asked for."""
    asked, stored = model.asked_layer_norm, bool(state["weighted_layer_norm"])
    if asked is None or asked == stored:
        return
    full = {vector.name: vector.length for vector in model.vectors}
    if all(len(state[name]) == full[name] and (state[name] == 1).all() for name in full if name in state):
        state["weighted_layer_norm"] = torch.tensor(int(asked))
        return
    wrong, right = ("--weighted-layernorm", "plain") if asked else ("--srp-plain-layernorm", "weighted")
    raise ValueError(f"{wrong}: the checkpoint was pruned with {right} layer norm; leave the option out")
