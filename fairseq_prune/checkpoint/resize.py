"""Resizing models to the widths of the weights they load."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from ..compat import load_checkpoint
from ..families import structure_of
from ..families.transformer.table import block_of
from ..modules.cut_attention import let_attention_shrink
from ..pruning.surgery.cut import entries, replace_values
from ..pruning.surgery.widths import arriving_shapes
from .start import Start

if TYPE_CHECKING:
    from argparse import Namespace

    from fairseq.models import BaseFairseqModel
    from omegaconf import DictConfig


def follow_widths(model: nn.Module) -> None:
    """Let a stock model load weights whose coupled units were cut: neurons, heads and their dimensions, hidden units.

    Vectors of units become as long as in the loaded weights, but never longer than in the architecture; torch reports
    what does not fit together. Attention that was cut is recognised by its entry ``heads``.
    SRP and vision models do all this themselves and are left alone.
    Call this before the masks' own load hook is registered, since masks have the cut shapes.

    Args:
        model: ``nn.Module``; its parameters stay the same objects.
    """
    structure, shapes = _cuttable(model), {name: value.shape for name, value in entries(model).items()}
    if structure is None:
        return

    dimensions = [vector for vector in structure.vectors.values() if vector.kind in ("qk", "vo")]
    heads = {f"{block_of(v.name)}.heads": v.heads for v in dimensions}

    def take_over(module, state, prefix, *_):
        if not prefix:
            let_attention_shrink(module, [name.removesuffix(".heads") for name in heads if name in state])
            mine = entries(module)
            for name in heads.keys() & mine.keys():
                state.setdefault(name, torch.arange(heads[name]))
            whole = shapes | {name: torch.Size([count]) for name, count in heads.items() if name in mine}
            values = arriving_shapes(structure, whole, _without_odd_attention(state, dimensions))
            replace_values(module, {name: mine[name].new_empty(shape) for name, shape in values.items()})

    model.register_load_state_dict_pre_hook(take_over)


def _without_odd_attention(state, dimensions):
    """The loaded shapes, without attention that no cut can produce: heads of unequal widths or wider than before."""
    shapes = {name: value.shape for name, value in state.items()}
    for vector in dimensions:
        block, name = block_of(vector.name), vector.writers[0]
        heads, arriving = (shapes.get(entry, [0])[0] for entry in (f"{block}.heads", name))
        if not heads or arriving % heads or arriving * vector.heads > vector.length * heads:
            shapes = {entry: shape for entry, shape in shapes.items() if not entry.startswith(f"{block}.")}
    return shapes


def load_before_wrapping(model: BaseFairseqModel, model_cfg: DictConfig | Namespace, start: Start, ranks: int) -> None:
    """Give a model of a multi-rank run the shapes of the weights that its trainer will load.

    DDP wraps the model, and records its shapes, before the trainer loads weights. So they are loaded
    here first. The trainer loads them again and reports what does not fit.

    Args:
        model: any model; left alone if it never takes over shapes.
        model_cfg: its config.
        start: what its trainer, or before that a task, will load.
        ranks: ranks of the run (count).

    Raises:
        ValueError: the checkpoint is unreadable.
    """
    path = start.path if start.is_there else None
    if ranks > 1 and path and (takes_over_shapes(model) or _cuttable(model)):
        try:
            model.load_state_dict(load_checkpoint(path)["model"], strict=True, model_cfg=model_cfg)
        except RuntimeError:
            return


def takes_over_shapes(model: nn.Module) -> bool:
    """True for models whose own hooks take over the shapes of what they load."""
    return hasattr(model, "connectivity") or getattr(model, "takes_over_shapes", False)


def _cuttable(model):
    """The structure of a model whose widths are taken over here; None for others."""
    structure = None if takes_over_shapes(model) else structure_of(model)
    return structure if structure and any(vector.cuts for vector in structure.vectors.values()) else None
