"""Shared parameters stay one tensor in the checkpoint, also if the model is on a GPU or in half precision."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from ..pruning.packed_state import memory_place
from .patching import patch_once


def install() -> None:
    """Keep tensors shared when fairseq moves them to the CPU before it saves them."""
    from fairseq import utils

    patch_once(utils, "move_to_cpu", _keeping_shared)


def _keeping_shared(move_to_cpu):
    """fairseq moves and casts a shared tensor once for each of its names, so the file would hold copies."""
    from fairseq.utils import apply_to_sample

    def move(sample: Any) -> Any:
        return apply_to_sample(_once_each(move_to_cpu), sample)

    return move


def _once_each(move_to_cpu: Callable[[list[Tensor]], list[Tensor]]) -> Callable[[Tensor], Tensor]:
    moved: dict[tuple, Tensor] = {}

    def move(tensor: Tensor) -> Tensor:
        place = tensor.device, *memory_place(tensor), not tensor.numel() and len(moved)  # empty tensors have no address
        if place not in moved:
            (moved[place],) = move_to_cpu([tensor])
        return moved[place]

    return move
