"""The result of a selection: the units to remove."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import torch
from torch import Tensor

from ..masks import Masks, pack_mask, unpack_mask
from ..prunable import Prunable


@dataclass(frozen=True)
class Selection:
    """What is removed.

    Args:
        masks: dict of parameter name -> bool, True = keep; tensors that lose nothing may be missing.
        keep: dict of vector name -> bool [units], True = keep; only of coupled units.
        nans: how many scores are NaN. An int64 tensor [] is on a GPU and not yet looked at, which would wait for it.
        values: dict of parameter name -> its new values, where weights that are kept make up for those removed.
    """

    masks: Masks
    keep: dict[str, torch.Tensor] = field(default_factory=dict)
    nans: int | torch.Tensor = 0
    values: Mapping[str, torch.Tensor] = field(default_factory=dict)

    def checked(self) -> Self:
        """Check that no score was NaN, and leave out masks that remove nothing. This waits for the device.

        Raises:
            ValueError: a score is NaN.
        """
        if self.nans:
            raise ValueError(f"{int(self.nans)} scores are NaN; did the loss diverge?")
        return replace(self, masks={name: keep for name, keep in self.masks.items() if not keep.all()})

    def plain(self) -> dict[str, dict]:
        """As plain values and bits, for a checkpoint."""
        return {part: {name: pack_mask(m) for name, m in getattr(self, part).items()} for part in ("masks", "keep")}

    @classmethod
    def from_plain(cls, state: Mapping[str, Mapping], device: torch.device) -> Self:
        """Undo :meth:`plain`."""
        masks, keep = ({n: unpack_mask(m).to(device) for n, m in state[part].items()} for part in ("masks", "keep"))
        return cls(masks, keep)


@dataclass(frozen=True)
class Inherited:
    """What another run removed.

    Args:
        selection: :class:`Selection`; None if only counts are known.
        binding: True: the same units are removed again; False: as many as there.
    """

    selection: Selection | None = None
    binding: bool = False

    def evidence(self, parameters: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
        """Evidence by which the same units are removed, of a dict of name -> parameter; None unless :attr:`binding`."""
        if not self.binding or self.selection is None:
            return None
        whole = {name: torch.ones_like(p, dtype=torch.bool) for name, p in parameters.items()}
        return whole | {name: keep.to(whole[name].device) for name, keep in self.selection.masks.items()}


def count_removed(prunables: Sequence[Prunable], masks: Masks) -> tuple[int, int]:
    """(removed, total) of prunable tensors (counts of weights)."""
    keeps = [p.mask_in(masks) for p in prunables]
    removed = sum(k.numel() - int(torch.count_nonzero(k)) for k in keeps if k is not None)
    return removed, sum(p.parameter.numel() for p in prunables)
