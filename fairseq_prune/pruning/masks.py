"""Masks as data: bool, True = keep, named after their parameter."""

import math
import zlib
from collections.abc import Mapping
from typing import TypeGuard

import numpy as np
import torch
from torch import Tensor

Masks = dict[str, Tensor]  # parameter name -> bool of its shape, True = keep

METADATA_KEY = "prune_masks"  # in a state dict's metadata of the root module


def pack_mask(keep: Tensor) -> dict:
    """Pack a mask to one bit an element, for checkpoints.

    Args:
        keep: bool tensor of any shape.

    Returns:
        dict of plain values: ``shape`` (list of int) and ``keep`` (uint8, on the CPU).
    """
    bits = np.packbits(keep.cpu().numpy().reshape(-1))
    return {"shape": list(keep.shape), "keep": torch.from_numpy(bits)}


def unpack_mask(packed: object) -> Tensor:
    """Undo :func:`pack_mask`.

    Raises:
        ValueError: it is no packed mask, or the bits do not fill the shape.
    """
    if not is_packed_mask(packed):
        raise ValueError("a mask in it is damaged: no shape and bits")
    count = math.prod(packed["shape"])
    if packed["keep"].numel() != math.ceil(count / 8):
        raise ValueError(f"a mask of {packed['keep'].numel()} bytes does not fit shape {packed['shape']}")
    bits = np.unpackbits(packed["keep"].numpy(), count=count)
    return torch.from_numpy(bits.astype(bool)).view(packed["shape"])


def is_packed_mask(packed: object) -> TypeGuard[dict]:
    """True for what has the form of :func:`pack_mask`'s result; whether the bits fill the shape is not looked at."""
    shape, bits = (packed.get("shape"), packed.get("keep")) if isinstance(packed, dict) else (None, None)
    if not isinstance(shape, list) or not all(isinstance(length, int) and length >= 0 for length in shape):
        return False
    return torch.is_tensor(bits) and bits.dtype == torch.uint8 and bits.dim() == 1


def unpack_masks(packed: object) -> Masks:
    """Undo :func:`pack_mask` for all masks of a model.

    Args:
        packed: dict of parameter name -> packed mask.

    Raises:
        ValueError: it is no such dict, or a mask is damaged.
    """
    if not isinstance(packed, dict):
        raise ValueError("the masks in it are damaged: no dict of masks")
    return {name: unpack_mask(mask) for name, mask in packed.items()}


def stored_masks(model_state: Mapping[str, object]) -> Masks:
    """Read the masks that came with a model's weights.

    Args:
        model_state: state dict, with or without metadata.

    Returns:
        dict of parameter name -> bool mask; empty for dense weights.

    Raises:
        ValueError: a mask whose bits do not fill its shape.
    """
    packed = getattr(model_state, "_metadata", {}).get("", {}).get(METADATA_KEY, {})
    return unpack_masks(packed)


def store_masks(metadata: dict, masks: Masks) -> None:
    """Put masks where :func:`stored_masks` finds them, instead of those that are there.

    Args:
        metadata: ``_metadata`` of a state dict; modified.
        masks: dict of parameter name -> bool; masks that keep everything are left out.
    """
    packed = {name: pack_mask(keep) for name, keep in masks.items() if not keep.all()}
    root = metadata.setdefault("", {})
    root.pop(METADATA_KEY, None)
    if packed:
        root[METADATA_KEY] = packed


def checksum(masks: Masks) -> int:
    """CRC-32 over names and bits; equal masks on every rank have equal checksums."""
    crc = 0
    for name in sorted(masks):
        crc = zlib.crc32(name.encode(), crc)
        crc = zlib.crc32(pack_mask(masks[name])["keep"].numpy().tobytes(), crc)
    return crc
