"""Layers, heads, neurons, hidden units and filters of a stored model: before it was cut, now, and alive.

They are read from shapes, zeros, masks and the config alone. A unit is alive if it has both weights that write it and
weights that read it; these are about the units that ``fairseq-prune compact`` would leave.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

from ..checkpoint.tensors import parameters
from ..families.transformer.stacks import stacks_in
from ..pruning.depth import stored_depth
from ..pruning.masks import stored_masks
from ..pruning.surgery.depth import without_anything


def describe_structure(model: Mapping[str, Any], settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Count the units of every part.

    Args:
        model: state dict, with or without masks.
        settings: the options of its architecture.

    Returns:
        list of dicts: ``name`` of the part, ``units`` (their kind), and the counts ``before`` any cut (None if the
        file does not say), ``now`` (from the shapes) and ``alive``. Stacks of layers also have ``kept``, the original
        numbers of their layers.
    """
    tensors, skipped = parameters(model), _skipped_layers(model)
    rows = [*_stacks(model, skipped), *_heads(model, settings), *_neurons(tensors, settings)]
    rows += [*_hidden(tensors, settings), *_filters(tensors)]
    for row in rows:
        if any(
            f"{row['name']}.".startswith(f"{stack}.{number}.") for stack, gone in skipped.items() for number in gone
        ):
            row["alive"] = 0
    return rows


def _row(name: str, units: str, before: int | None, now: int, alive: int) -> dict[str, Any]:
    return {"name": name, "units": units, "before": before, "now": now, "alive": alive}


def _skipped_layers(model):
    """Numbers of the layers that are masked as a whole, dict of stack -> list."""
    names, masks = parameters(model), stored_masks(model)
    gone = {stack: without_anything(names, stack, count, masks) for stack, count in stacks_in(model).items()}
    return {stack: layers.nonzero().flatten().tolist() for stack, layers in gone.items()}


def _stacks(model: Mapping[str, Any], skipped: Mapping[str, list[int]]) -> Iterator[dict[str, Any]]:
    depth = stored_depth(model)
    for stack, count in stacks_in(model).items():
        cut = depth.get(stack, {"of": count, "kept": list(range(count))})
        yield _row(stack, "layers", cut["of"], count, count - len(skipped[stack])) | {"kept": cut["kept"]}


def _heads(model: Mapping[str, Any], settings: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Rows for attention blocks. A head is alive if it has weights that write its values and weights that read them."""
    for name in model:
        if match := re.fullmatch(r"(.*?(encoder|decoder)\..*attn)\.v_proj\.weight", name):
            block, before = match[1], settings.get(f"{match[2]}_attention_heads")
            cut = model.get(f"{block}.heads")
            now = len(cut) if cut is not None else before
            if now and len(model[name]) % now == 0 and f"{block}.out_proj.weight" in model:
                alive = _written(model, f"{block}.v_proj") & (model[f"{block}.out_proj.weight"] != 0).any(0)
                yield _row(block, "heads", before, now, int(alive.view(now, -1).any(1).sum()))


def _neurons(tensors: Mapping[str, Tensor], settings: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for name, weight in tensors.items():
        layer, _, part = name.rpartition(".fc1.")
        if part == "weight" and f"{layer}.fc2.weight" in tensors:
            side = re.match(r".*?(encoder|decoder)\.", name)
            alive = (weight != 0).any(1) & (tensors[f"{layer}.fc2.weight"] != 0).any(0)
            before = settings.get(f"{side[1]}_ffn_embed_dim") if side else None
            yield _row(layer, "neurons", before, len(weight), int(alive.sum()))


def _hidden(tensors: Mapping[str, Tensor], settings: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Rows for recurrent layers. A hidden unit is alive if any of its gates has a weight."""
    for name, weight in tensors.items():
        if match := re.fullmatch(r"(.+)\.weight_hh(_l\d+(_reverse)?)?", name):
            width, inputs = weight.shape[1], tensors.get(name.replace("weight_hh", "weight_ih"))
            written = (weight != 0).any(1) if inputs is None else (weight != 0).any(1) | (inputs != 0).any(1)
            yield _row(
                match[1] + (match[2] or ""), "hidden units", None, width, int(written.view(-1, width).any(0).sum())
            )


def _filters(tensors: Mapping[str, Tensor]) -> Iterator[dict[str, Any]]:
    for name, weight in tensors.items():
        if weight.dim() == 4 and name.endswith(".weight"):
            alive = (weight != 0).flatten(1).any(1)
            yield _row(name.removesuffix(".weight"), "filters", None, len(weight), int(alive.sum()))


def _written(model, layer):
    return (model[f"{layer}.weight"] != 0).any(1)
