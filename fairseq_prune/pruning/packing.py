"""A tensor with zeros as one bit an element and the numbers that are left."""

from math import prod

import torch
from torch import Tensor

from .masks import is_packed_mask, pack_mask, unpack_mask

_ENTRY = 512  # bytes that one more tensor takes in a file, beside its numbers
_WIDER = {"float32": torch.float32, "float64": torch.float64}  # what is rounded to fp16


def pack_tensor(tensor: Tensor, mask: dict | None = None, half: bool = False) -> tuple[Tensor, dict | None]:
    """Store a tensor in fewer bytes, if it can be.

    Numbers come back to the bit, zeros as +0.0 whatever their sign was (masks leave both kinds).

    Args:
        tensor: of any dtype and shape; what is not floating-point stays as it is.
        mask: its mask, from :func:`~.masks.pack_mask`, which is stored anyhow: where all that it removes is zero, its
            bits are used and cost nothing.
        half: round fp32 and fp64 of two or more axes to fp16, unless one of its numbers is too large for that.

    Returns:
        (what to store, how to read it); (``tensor``, None) where nothing would be saved. Stored are the numbers that
        are left, in one row, with ``shape`` and ``keep`` as of a packed mask, and ``dtype`` if they were rounded.
    """
    if not tensor.is_floating_point():
        return tensor, None
    values, note = _rounded(tensor) if half else (tensor, {})
    if found := _bits(tensor, mask, values.element_size()):
        bits, keep = found
        values, note = values[keep], {**bits, **note} if note else bits
    return (values, note) if note else (tensor, None)


def _rounded(tensor):
    dtype, values = str(tensor.dtype).removeprefix("torch."), tensor.half()
    fits = dtype in _WIDER and tensor.dim() > 1 and values.isfinite().all()
    return (values, {"dtype": dtype}) if fits else (tensor, {})


def _bits(tensor: Tensor, mask: dict | None, size: int) -> tuple[dict, Tensor] | None:
    """The cheapest bits that say where numbers of ``size`` bytes are, packed and as bool; None: to store all is."""
    nonzero = tensor != 0
    own = int(nonzero.count_nonzero()) * size + tensor.numel() // 8 + _ENTRY
    if mask:
        keep = unpack_mask(mask).to(tensor.device)
        left = int(keep.count_nonzero()) * size
        if keep.shape == tensor.shape and left < min(own, tensor.numel() * size) and not (nonzero & ~keep).any():
            return mask, keep
    return (pack_mask(nonzero), nonzero) if own < tensor.numel() * size else None


def unpack_tensor(values: Tensor, note: dict) -> Tensor:
    """Undo :func:`pack_tensor`.

    Args:
        values: what was stored.
        note: how to read it, from a file that may hold anything.

    Raises:
        ValueError: the note is none, or there are not as many numbers as bits that are set.
    """
    check_note(note)
    if "dtype" in note:
        values = values.to(_WIDER[note["dtype"]])
    if "keep" not in note:
        return values
    keep = unpack_mask(note)
    if not values.is_floating_point() or values.shape != (int(keep.count_nonzero()),):
        raise ValueError(f"{values.numel()} numbers do not fill {int(keep.count_nonzero())} places")
    return values.new_zeros(keep.shape).masked_scatter_(keep, values)


def check_note(note: dict) -> None:
    """Refuse what is no note of :func:`pack_tensor`, whatever it is.

    Raises:
        ValueError: saying so.
    """
    known = isinstance(note, dict) and bool(note.keys() & {"dtype", "keep"})
    if known and "dtype" in note:
        known = isinstance(note["dtype"], str) and note["dtype"] in _WIDER
    if known and "keep" in note:
        known = is_packed_mask(note)
    if not known:
        raise ValueError("it does not say how it is packed")


def unpacked_bytes(values: Tensor, note: dict) -> int:
    """Memory that a packed tensor will take (bytes)."""
    count = prod(note["shape"]) if "keep" in note else values.numel()
    return count * _WIDER.get(note.get("dtype", ""), values.dtype).itemsize
