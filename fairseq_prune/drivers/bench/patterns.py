"""Describing what a checkpoint's pattern of zeros is good for."""

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

from ...pruning.masks import stored_masks

_MASKS = (
    "masks: dense kernels multiply zeros like other numbers, so fairseq, TorchScript, CTranslate2 and onnxruntime gain "
    "nothing by them; compact cuts whole units, csr leaves single weights out on a CPU"
)
_TWO_OF_FOUR = (
    "2:4: no runtime here uses it. PyTorch's kernels for it need CUDA and are slower than dense ones at the widths of "
    "such models; TensorRT runs it"
)


def patterns_in(state: Mapping[str, Any]) -> Iterator[str]:
    """What is to be said of a model's masks.

    Args:
        state: its state dict.

    Yields:
        A sentence each.
    """
    masks = stored_masks(state)
    if masks:
        yield _MASKS
    if any(_is_two_of_four(mask) for mask in masks.values()):
        yield _TWO_OF_FOUR


def _is_two_of_four(mask: Tensor) -> bool:
    """True if exactly two of every four neighbours of a row are kept."""
    if mask.dim() != 2 or mask.shape[1] % 4:
        return False
    return bool((mask.unflatten(1, (-1, 4)).sum(2) == 2).all())
