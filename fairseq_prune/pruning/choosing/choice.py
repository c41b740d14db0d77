"""What a choice is."""

from dataclasses import dataclass, field

import torch

from ..masks import pack_mask, unpack_mask


@dataclass(frozen=True)
class Choice:
    """What leaves.

    Args:
        masks: dict of parameter name -> bool, True = keep; what stays whole is not in it.
        keep: dict of vector name -> bool [units], where units are coupled and can be cut out.
    """

    masks: dict
    keep: dict = field(default_factory=dict)

    def plain(self):
        """As plain values and bits, for a checkpoint."""
        return {part: {name: pack_mask(m) for name, m in getattr(self, part).items()} for part in ("masks", "keep")}

    @classmethod
    def from_plain(cls, state, device):
        """Undo :meth:`plain`."""
        return cls(*({n: unpack_mask(m).to(device) for n, m in state[part].items()} for part in ("masks", "keep")))


def count_removed(prunables, masks):
    """(removed, total) of prunable tensors (counts of weights)."""
    keeps = [p.mask_in(masks) for p in prunables]
    removed = sum(k.numel() - int(torch.count_nonzero(k)) for k in keeps if k is not None)
    return removed, sum(p.parameter.numel() for p in prunables)
