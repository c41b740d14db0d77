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


@dataclass(frozen=True)
class Inherited:
    """What another run removed.

    Args:
        choice: :class:`Choice`; None if only counts are known.
        binding: the same units leave again; False: as many as there.
    """

    choice: Choice = None
    binding: bool = False

    def evidence(self, parameters):
        """What to score so that the same leaves, for a dict of parameter name -> parameter; None unless binding."""
        if not self.binding:
            return None
        whole = {name: torch.ones_like(p, dtype=torch.bool) for name, p in parameters.items()}
        return whole | {name: keep.to(whole[name].device) for name, keep in self.choice.masks.items()}


def overlap(chooser, layers, choice, other):
    """Fraction of the units that one choice removes which another one removes too.

    Args:
        chooser: of these units.
        layers: names of those to count in.
        choice, other: :class:`Choice`.
    """
    pairs = [(chooser.leaving(layer, choice), chooser.leaving(layer, other)) for layer in layers]
    both = sum(int((one & two.to(one.device)).sum()) for one, two in pairs)
    return both / max(1, sum(int(one.sum()) for one, _ in pairs))


def count_removed(prunables, masks):
    """(removed, total) of prunable tensors (counts of weights)."""
    keeps = [p.mask_in(masks) for p in prunables]
    removed = sum(k.numel() - int(torch.count_nonzero(k)) for k in keeps if k is not None)
    return removed, sum(p.parameter.numel() for p in prunables)
