"""The parameters of a stored model: which entries are parameters, which are tied, and how many elements are zero."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor

from ..pruning.packed_state import memory_place

BUFFERS = {
    "version", "_float_tensor", "num_batches_tracked", "running_mean", "running_var",
    # SRP models: connectivity (factors in [0, 1]), the mode of the layer norms, and the remaining positions
    "embedding_c", "fc_c", "self_attn_qk_c", "self_attn_vo_c", "encoder_attn_qk_c", "encoder_attn_vo_c",
    "weighted_layer_norm", "pos_emb_mask",
    "heads",  # attention that was cut
}  # fmt: skip


@dataclass(frozen=True)
class TensorEntry:
    """One parameter of a stored model, counted once however many names it has.

    Args:
        name: the first of its names in the state dict.
        shape: its size along each axis.
        nonzero: elements whose effective value is not exactly zero (count).
        prunable: True if it belongs to the default prunable set.
        aliases: other names of the same (tied) parameter.
    """

    name: str
    shape: tuple[int, ...]
    nonzero: int
    prunable: bool
    aliases: tuple[str, ...] = ()

    @property
    def params(self) -> int:
        """Elements (count)."""
        return prod(self.shape)

    @property
    def fraction_removed(self) -> float:
        """Fraction of the elements that are zero, in [0, 1]; 0 for an empty tensor."""
        return fraction(self.params - self.nonzero, self.params)


def fraction(part: float, whole: float) -> float:
    """``part / whole``, or 0 if ``whole`` is 0."""
    return part / whole if whole else 0.0


def parameters(model_state: Mapping[str, Any]) -> dict[str, Tensor]:
    """Select the parameters from everything that a state dict stores.

    A checkpoint does not say which tensors are buffers: integer tensors and the names in
    ``BUFFERS`` are assumed to be buffers, all others parameters.

    Args:
        model_state: mapping of names to tensors, as in ``checkpoint["model"]``.

    Returns:
        dict of names to floating-point tensors, in stored order.
    """
    return {
        name: tensor
        for name, tensor in model_state.items()
        if isinstance(tensor, torch.Tensor) and tensor.is_floating_point() and name.rpartition(".")[2] not in BUFFERS
    }


def scale_name(name: str) -> str | None:
    """Name of the scale that belongs to a weight-normalised direction ``X_v``, or None."""
    return name[:-1] + "g" if name.endswith("_v") else None


def direction_name(name: str) -> str | None:
    """Name of the direction that belongs to a weight-normalised scale ``X_g``, or None."""
    return name[:-1] + "v" if name.endswith("_g") else None


def find_ties(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """Find parameters stored under more than one name.

    Two entries are one parameter if they share memory. Checkpoints that plain fairseq saves from a GPU
    lose the sharing, so two tensors of two or more axes with equal, non-constant contents are one
    parameter, too. (A vector that was shared on a GPU is therefore counted once for each name.)

    Args:
        tensors: dict of names to tensors.

    Returns:
        dict from every name to the first name of the same parameter.
    """
    first: dict[str, str] = {}
    by_memory: dict[tuple, str] = {}
    by_content: defaultdict[tuple, list[str]] = defaultdict(list)
    for name, tensor in tensors.items():
        twin = by_memory.setdefault(memory_place(tensor), name) if tensor.numel() else name
        if twin == name and tensor.dim() >= 2 and tensor.numel() and tensor.amin() != tensor.amax():
            alike = by_content[tensor.dtype, tensor.shape, float(tensor.sum(dtype=torch.float64))]
            twin = next((other for other in alike if torch.equal(tensors[other], tensor)), name)
            alike.append(name)
        first[name] = first.get(twin, twin)
    return first


def count_nonzero(name: str, tensors: Mapping[str, Tensor]) -> int:
    """Count the elements of a parameter whose effective value is not zero.

    The direction ``X_v`` of a weight-normalised pair has no effect where its scale ``X_g``, which
    broadcasts to it, is zero.
    """
    tensor, scale = tensors[name], tensors.get(scale_name(name) or "")
    return int((tensor if scale is None else (tensor != 0) & (scale != 0)).count_nonzero())


def tensor_rows(model_state: Mapping[str, Any]) -> list[TensorEntry]:
    """Describe every parameter of a stored model once.

    The prunable set is the default one: parameters with two or more axes, embeddings included; of a
    weight-normalised pair, only the direction.

    Args:
        model_state: mapping of names to tensors, as in ``checkpoint["model"]``. Not modified.

    Returns:
        list of :class:`TensorEntry`, in stored order.
    """
    tensors = parameters(model_state)
    names = defaultdict(list)
    for name, first in find_ties(tensors).items():
        names[first].append(name)
    return [
        TensorEntry(
            name=name,
            shape=tuple(tensors[name].shape),
            nonzero=count_nonzero(name, tensors),
            prunable=tensors[name].dim() >= 2 and direction_name(name) not in tensors,
            aliases=tuple(group[1:]),
        )
        for name, group in names.items()
    ]
