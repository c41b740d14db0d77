"""Models that take over the feed-forward widths of the weights they load."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from ..compat import load_checkpoint
from ..families.transformer.table import FEED_FORWARD
from ..pruning.surgery.cut import entries, replace_values
from ..pruning.surgery.table import build_table
from .start import Start

if TYPE_CHECKING:
    from argparse import Namespace

    from fairseq.models import BaseFairseqModel
    from omegaconf import DictConfig


def follow_widths(model: nn.Module) -> None:
    """Let a stock Transformer load weights whose feed-forward blocks were cut.

    Blocks become as wide as those that come, but never wider than the architecture's; what does not
    fit together is left for torch to name. SRP and vision models do all this themselves and are passed over.
    Call it before the masks' own load hook is registered, since masks have the cut shapes.

    Args:
        model: ``nn.Module``; its parameters stay the same objects.
    """
    table = _feed_forward_table(model)
    widest = _widths(table, entries(model))
    if takes_over_shapes(model) or not widest:
        return

    def take_over(module, state, prefix, *_):
        if prefix:
            return
        mine, arriving, values = entries(module), _widths(table, state), {}
        for name, ((axis, vector, *_),) in table.items():
            if vector in widest and arriving.get(vector, widest[vector] + 1) <= widest[vector]:
                shape = list(mine[name].shape)
                shape[axis] = arriving[vector]
                values[name] = mine[name].new_empty(shape)
        replace_values(module, values)

    model.register_load_state_dict_pre_hook(take_over)


def load_before_wrapping(model: BaseFairseqModel, model_cfg: DictConfig | Namespace, start: Start, ranks: int) -> None:
    """Give a model of a multi-rank run the shapes of the weights that its trainer will load.

    DDP wraps the model, and notes its shapes, before the trainer loads weights. So they are loaded
    once more, beforehand. The trainer loads them again and reports what does not fit.

    Args:
        model: any; left alone if it never takes over shapes.
        model_cfg: its config.
        start: what its trainer will load, or a task before that.
        ranks: of the run (count).

    Raises:
        ValueError: the checkpoint is unreadable.
    """
    path = start.path if start.is_there else None
    if ranks > 1 and path and (takes_over_shapes(model) or _feed_forward_table(model)):
        try:
            model.load_state_dict(load_checkpoint(path)["model"], strict=True, model_cfg=model_cfg)
        except RuntimeError:
            return


def takes_over_shapes(model: nn.Module) -> bool:
    """True for models that see to it themselves that they take over the shapes they load."""
    return hasattr(model, "connectivity") or getattr(model, "takes_over_shapes", False)


def _feed_forward_table(model):
    return build_table(FEED_FORWARD, entries(model))


def _widths(table, tensors):
    """Widths of the blocks whose tensors are all there and agree, dict of vector name -> count."""
    widths: dict[str, set[int | None]] = {}
    for name, ((axis, vector, *_),) in table.items():
        widths.setdefault(vector, set()).add(tensors[name].shape[axis] if name in tensors else None)
    return {vector: width.pop() for vector, width in widths.items() if len(width) == 1 and None not in width}
