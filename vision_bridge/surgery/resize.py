"""Resizing vision models to the widths of the weights they load."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd

from fairseq_prune.engine.evaluating import evaluating
from fairseq_prune.pruning.surgery.cut import entries, replace_values

from ..models.heads import begin_heads_anew, drop_masks, foreign_heads

if TYPE_CHECKING:
    from ..models.classifier import ImageClassifier


def follow_widths(
    model: ImageClassifier,
    errors: Callable[[], AbstractContextManager] = contextlib.nullcontext,
    of_other_classes: bool = False,
) -> None:
    """Let a classifier load weights from which channels were cut.

    Tensors take the shape of the loaded ones, if it is not larger than the architecture's; kernel sizes never change.
    Whether the widths fit together is checked on an example. Weights for other images or classes are a ValueError.

    Args:
        model: :class:`~vision_bridge.models.classifier.ImageClassifier`; its parameters stay the same objects. Call
            this before the masks' load hook is registered.
        errors: makes a context for the checks, since fairseq hides the message of anything but a SystemExit.
        of_other_classes: allow weights for other classes: the classifier then keeps its own, without masks.
    """
    whole = {name: value.shape for name, value in entries(model).items()}

    def take_over(module, state, prefix, metadata, *_):
        if prefix:
            return
        with errors():
            heads = foreign_heads(module, state, module.classes) if of_other_classes else []
            if heads:
                state.update(begin_heads_anew(module, state, heads, module.classes, "the checkpoint"))
                drop_masks(metadata, heads)
            _refuse_others(module, whole, state)
            adopt(module, state)

    def adopt(module, state):
        mine = entries(module)
        values = {
            name: mine[name].new_empty(value.shape)
            for name, value in state.items()
            if name in mine and value.shape != mine[name].shape and _is_cut(value.shape, whole[name])
        }
        if values:
            replace_values(module, values)
            _try(module)

    model.takes_over_shapes = True
    model.register_load_state_dict_pre_hook(take_over)


def _is_cut(shape, whole):
    pairs = list(zip(shape, whole, strict=False))
    return len(shape) == len(whole) and all(a <= b for a, b in pairs[:3]) and (len(shape) < 4 or shape[2:] == whole[2:])


def _refuse_others(model, whole, state):
    """Refuse weights that no cut can explain: the first layer is for other images or the last for other classes."""
    layers = (name for name, module in model.named_modules() if isinstance(module, (_ConvNd, nn.Linear)))
    first, last = f"{next(layers)}.weight", [name for name, _ in model.named_parameters()][-1]
    shape = "x".join(map(str, model.image_shape))
    if last in state and whole[last][0] == model.classes != len(state[last]):
        raise ValueError(
            f"the checkpoint has {len(state[last])} classes, DATA {model.classes}; give data of the same, or train on, "
            "with a new classifier, by --finetune-from-model"
        )
    axes = {name: 2 for name in whole if name.endswith("pos_embedding")} | {first: None}  # ViT: one for each patch
    for name in axes.keys() & state.keys():
        if state[name].shape[1 : axes[name]] != whole[name][1 : axes[name]]:
            raise ValueError(
                f"the checkpoint is for other images than DATA's {shape}: its {name} is {list(state[name].shape)}, not "
                f"{list(whole[name])}; give the same kind, e.g. with --image-size"
            )


@torch.no_grad()
def _try(model):
    try:
        with evaluating(model):
            model(model.example())
    except RuntimeError as error:
        shape, reason = "x".join(map(str, model.image_shape)), str(error).splitlines()[0]
        raise ValueError(f"the checkpoint's widths do not fit --arch and images of {shape}: {reason}") from None
