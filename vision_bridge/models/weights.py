"""Reading weights from files of plain torch: a state dict, or a training's file with one under ``state_dict``."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from fairseq_prune.checkpoint.other_names import RESNET, VGG, renamed, unwrapped
from fairseq_prune.files.locks import StrPath

from .heads import begin_heads_anew, foreign_heads


def read_weights(option: str, path: StrPath, example: str) -> dict[str, Tensor]:
    """Read a state dict, its names without those of wrappers.

    Args:
        option: that named the file, for messages.
        path: the file.
        example: of a valid one, for messages.

    Returns:
        dict of entry name -> tensor.

    Raises:
        ValueError: the file cannot be read, or holds something else.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"{option} {path}: cannot be read, {reason}; {example}") from None
    state = state.get("state_dict", state) if isinstance(state, dict) else state
    if not _is_state_dict(state):
        raise ValueError(f"{option} {path}: holds no state dict; {example}")
    return {unwrapped(entry): tensor for entry, tensor in state.items()}


def _is_state_dict(state):
    return isinstance(state, dict) and all(isinstance(k, str) and torch.is_tensor(v) for k, v in state.items())


def load_weights(
    net: nn.Module, state: Mapping[str, Tensor], option: str, path: StrPath, name: str, classes: int, example: str
) -> None:
    """Load a state dict strictly; but where it is for other classes, the classifier keeps its new weights.

    Args:
        net: ``nn.Module``.
        state: from :func:`read_weights`.
        option: that named the file, for messages.
        path: the file.
        name: of the net, as it was asked for.
        classes: of the images (count).
        example: of a valid file.

    Raises:
        ValueError: it is for another net.
    """
    ours = net.state_dict().keys()
    state = {_known(entry, ours): tensor for entry, tensor in state.items()}
    if heads := foreign_heads(net, state, classes):
        state = begin_heads_anew(net, state, heads, classes, f"{option} {path}")
    try:
        net.load_state_dict(state)
    except RuntimeError:
        raise ValueError(f"{option} {path}: does not fit {name}; {example}") from None


def _known(entry, ours):
    """An entry's name in a net that has these."""
    return next((name for name in (entry, renamed(entry, RESNET), renamed(entry, VGG)) if name in ours), entry)
