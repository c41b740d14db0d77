"""Reading weights from files of plain torch: a state dict, or a checkpoint that has one under ``state_dict``."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from fairseq_prune.checkpoint.other_names import RESNET, VGG, renamed, unwrapped
from fairseq_prune.files.locks import StrPath

from .heads import begin_heads_anew, foreign_heads


def read_weights(option: str, path: StrPath, example: str) -> dict[str, Tensor]:
    """Read a state dict, and remove the prefixes of wrappers from its names.

    Args:
        option: the option that names the file, for messages.
        path: the file.
        example: a valid example, for messages.

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
    """Load a state dict strictly; but if it has another number of classes, the classifier keeps its new weights.

    Args:
        net: ``nn.Module``.
        state: from :func:`read_weights`.
        option: the option that names the file, for messages.
        path: the file.
        name: name of the net as the user gave it.
        classes: classes of the images (count).
        example: a valid example, for messages.

    Raises:
        ValueError: the weights are for another net.
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
    """The name of an entry in a net that has the names ``ours``."""
    return next((name for name in (entry, renamed(entry, RESNET), renamed(entry, VGG)) if name in ours), entry)
