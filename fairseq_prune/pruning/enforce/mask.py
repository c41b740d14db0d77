"""Hard masks."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor


def mask_tensor(tensor: Tensor, keep: Tensor) -> None:
    """Zero the removed elements in place.

    Args:
        tensor: any float dtype; parameters by their ``data``.
        keep: bool, same shape; True = keep.
    """
    tensor.mul_(keep)


def as_numbers(masks: Mapping[str, Tensor], dtype: torch.dtype) -> dict[str, Tensor]:
    """Masks as 1 and 0, all at once, for :func:`multiply` and for products of lists.

    Args:
        masks: dict of name -> bool, of one device.
        dtype: of the numbers.

    Returns:
        dict of name -> tensor of the mask's shape.
    """
    if not masks:
        return {}
    numbers = torch.cat([keep.reshape(-1) for keep in masks.values()]).to(dtype)
    parts = numbers.split([keep.numel() for keep in masks.values()])
    return {name: part.view(keep.shape) for (name, keep), part in zip(masks.items(), parts, strict=True)}


def multiply(tensors: Sequence[Tensor], factors: Sequence[Tensor]) -> None:
    """Multiply tensors in place: in one launch those whose factors have their shape, the others one by one.

    Args:
        tensors: list; one may come again only with a factor of another shape.
        factors: list of tensors that broadcast; they take the dtype of what they multiply.
    """
    alike: dict[tuple, tuple[list[Tensor], list[Tensor]]] = {}
    for tensor, factor in zip(tensors, factors, strict=True):
        factor = factor.to(tensor.dtype)
        if tensor.shape == factor.shape:
            of_kind = alike.setdefault((tensor.dtype, tensor.device), ([], []))
            of_kind[0].append(tensor)
            of_kind[1].append(factor)
        else:
            tensor.mul_(factor)
    for of_kind in alike.values():
        torch._foreach_mul_(*of_kind)
