"""The attention heads of vision models, and how attention is traced."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from fairseq_prune.pruning.surgery.structure import Coupled
from fairseq_prune.pruning.surgery.table import Owner

from ..models.divisible import SelfAttention

CHANNELS = (("in_proj_weight", 1), ("out_proj.weight", 0), ("out_proj.bias", 0))  # with the axis of the channels


def blocks(net: nn.Module) -> dict[str, SelfAttention]:
    """The attention blocks of a net that can lose channels and heads, by name."""
    return {name: module for name, module in net.named_modules() if isinstance(module, SelfAttention)}


def pass_on(net: nn.Module) -> None:
    """Let attention return its input: it writes the channels that it reads, which is all that tracing needs."""
    for module in blocks(net).values():
        vars(module)["forward"] = _hand_on


def _hand_on(query: Tensor, *_: object, **__: object) -> tuple[Tensor, None]:
    return query * 1.0, None


def heads(net: nn.Module, prefix: str) -> Iterator[tuple[list[tuple[str, Owner]], Coupled]]:
    """The heads as units: rows of queries, keys and values, and columns of the output projection.

    Args:
        net: ``nn.Module``.
        prefix: prefix of all names.

    Yields:
        (list of (entry name, :class:`~fairseq_prune.pruning.surgery.table.Owner`),
        :class:`~fairseq_prune.pruning.surgery.structure.Coupled`) for each block with several heads.
    """
    for block, module in blocks(net).items():
        name = prefix + block
        of_each = torch.arange(module.num_heads).repeat_interleave(module.head_dim)
        rows = [(f"{name}.in_proj_weight", Owner(0, name, of_each.repeat(3)))]
        if module.in_proj_bias is not None:
            rows.append((f"{name}.in_proj_bias", Owner(0, name, of_each.repeat(3))))
        rows.append((f"{name}.out_proj.weight", Owner(1, name, of_each)))
        if module.num_heads > 1:
            writers, readers = (f"{name}.in_proj_weight",), (f"{name}.out_proj.weight",)
            yield rows, Coupled(name, "head", module.num_heads, writers, readers)
