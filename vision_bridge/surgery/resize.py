"""Vision models that take over the widths of the weights they load."""

import torch

from fairseq_prune.pruning.surgery.cut import entries, replace_values


def follow_widths(model):
    """Let a classifier load weights of which channels were cut.

    Tensors take the shape that comes, if it is no larger than the architecture's along the first two axes and the
    same along the others. Whether the widths fit each other is tried on an example.

    Args:
        model: :class:`~vision_bridge.models.classifier.ImageClassifier`; its parameters stay the same objects. Call it
            before masks get their load hook.
    """
    whole = {name: value.shape for name, value in entries(model).items()}

    def take_over(module, state, prefix, *_):
        if prefix:
            return
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
    return len(shape) == len(whole) and all(a <= b for a, b in pairs[:2]) and all(a == b for a, b in pairs[2:])


@torch.no_grad()
def _try(model):
    training = model.training
    try:
        logits = model.eval()(model.example())
    except RuntimeError as error:
        raise ValueError(f"the checkpoint's widths do not fit --arch: {str(error).splitlines()[0]}") from None
    finally:
        model.train(training)
    if logits.shape[-1] != model.classes:
        raise ValueError(f"the checkpoint has {logits.shape[-1]} classes, the data {model.classes}")
