"""Carrying out a selection by masks, multipliers of 0, or cuts."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, cast

from torch import Tensor, nn

from ..compat import forget_best
from ..pruning.masks import checksum, pack_mask, unpack_mask
from ..pruning.prunable import Prunable
from ..pruning.selecting import Selection
from ..pruning.selecting.widths import WidthSelector
from ..pruning.surgery.structure import Structure, can_be_cut
from . import ranks
from .cut import cut_in_run, cut_layers_in_run, may_cut
from .masked_model import MaskedModel
from .rewind import Rewind
from .targets import Targets
from .weight_norms import rescale_norms

if TYPE_CHECKING:
    from fairseq.optim import FairseqOptimizer


logger = logging.getLogger(__name__)


class Removal:
    """Removes from one model, its optimizer's moments, masks and averages.

    Args:
        model: ``nn.Module``.
        masked: its :class:`~.masked_model.MaskedModel`.
        averaged: the run keeps moving averages (--store-ema), whose shapes cannot follow a cut.
        rewind: rewinds weights after every removal, :class:`~.rewind.Rewind`; None: no rewinding.

    Attributes:
        kept: coupled units kept in all cuts so far, packed: dict of vector name -> plain values.
    """

    def __init__(self, model: nn.Module, masked: MaskedModel, averaged: bool, rewind: Rewind | None = None):
        self._model, self._masked, self._averaged, self._rewind, self.kept = model, masked, averaged, rewind, {}

    def carry_out(
        self,
        selection: Selection,
        targets: Targets,
        cuts: bool,
        optimizer: FairseqOptimizer,
        ema_model: nn.Module | None,
    ) -> None:
        """Remove what an event selected, on all ranks alike, and restart the search for the best checkpoint.

        Args:
            selection: what is removed.
            targets: the units that were selected from, :class:`~.targets.Targets`.
            cuts: whether coupled units are cut out now.
            optimizer: the fairseq optimizer.
            ema_model: fairseq's moving-average copy of the model, or None.

        Raises:
            RuntimeError: the ranks' selections differ.
            ValueError: a score is NaN.
        """
        selection = selection.checked()
        device = next(iter(self._masked.parameters.values())).device
        ranks.require_equal(checksum({**selection.masks, **selection.keep}), "pruning masks", device)
        closes = targets.selector.multiplies and selection.keep
        if closes or checksum(selection.masks) != checksum(self._masked.masks):
            if (shared := targets.overlap(selection)) is not None:
                logger.info(f"{shared:.4f} of what is removed is removed in --base-pr-model, too")
            changed: Collection[str] = ()
            if self._rewind:
                self._rewind.restore(optimizer)
                changed = self._masked.parameters
            if closes:
                self.close(selection.keep, cast(WidthSelector, targets.selector), targets.structure, optimizer)
            else:
                changed = {*changed, *self.mask(selection, targets.prunables, optimizer)}
            if ema_model is not None:
                self._masked.update_averages(ema_model, changed)
            forget_best()
        if cuts and not closes:  # which has cut already
            targets.find_remaining(self.cut(selection.keep, targets.structure, optimizer))

    def mask(self, selection: Selection, prunables: Sequence[Prunable], optimizer: FairseqOptimizer) -> set[str]:
        """Replace the masks in force by a selection's, and weights by its new values.

        Args:
            selection: what is removed.
            prunables: list of :class:`~fairseq_prune.pruning.prunable.Prunable`.
            optimizer: the fairseq optimizer.

        Returns:
            Names of the parameters whose kept weights have changed.
        """
        rescaled = rescale_norms(prunables, selection.masks, optimizer)
        self._masked.replace_values(selection.values, optimizer)
        self._masked.set_masks(selection.masks)
        self._masked.mask_values(optimizer)
        self._masked.mask_moments(optimizer)
        return {*rescaled, *selection.values}

    def close(
        self, keep: Mapping[str, Tensor], selector: WidthSelector, structure: Structure, optimizer: FairseqOptimizer
    ) -> None:
        """Set the multipliers (connectivity) of removed units to 0, and cut the units out where shapes can change.

        Args:
            keep: dict of vector name -> bool [units], True = keep.
            selector: of such units, :class:`~fairseq_prune.pruning.selecting.widths.WidthSelector`.
            structure: :class:`~fairseq_prune.pruning.surgery.structure.Structure`.
            optimizer: the fairseq optimizer.
        """
        selector.shrink({vector: ~units for vector, units in keep.items()}, 0.0)
        if not self.cut(selector.remaining(), structure, optimizer):
            logger.info("connectivity 0, to be cut by fairseq-prune compact or by the run that finetunes it")

    def cut(self, keep: Mapping[str, Tensor], structure: Structure, optimizer: FairseqOptimizer) -> bool:
        """Cut coupled units out.

        Args:
            keep: dict of vector name -> bool [units], True = keep.
            structure: :class:`~fairseq_prune.pruning.surgery.structure.Structure`.
            optimizer: the fairseq optimizer.

        Returns:
            True if units were cut; in some runs shapes cannot change.
        """
        if not keep or not may_cut(optimizer, self._averaged):
            return False
        asked, keep = keep, can_be_cut(structure.vectors, keep)
        if any(structure.vectors[vector].kind == "layer" for vector in keep):
            cut_layers_in_run(self._model, keep, optimizer, self._masked)
        else:
            cut_in_run(self._model, structure.table, keep, optimizer, self._masked)
        for connectivity in structure.connectivity.values():
            connectivity.refresh()
        self.kept |= {vector: pack_mask(self._of_the_whole(vector, units)) for vector, units in keep.items()}
        for vector, units in keep.items():
            if stay := int(units.sum() - asked[vector].sum()):
                logger.info(
                    f"{vector}: {stay} more units are masked, not cut: the layers of its module can only be cut equally"
                )
        return bool(keep)

    def _of_the_whole(self, vector, units):
        """The kept units, among those that a vector had before the first cut."""
        if vector not in self.kept:
            return units
        before = unpack_mask(self.kept[vector])
        return before.masked_scatter(before, units.cpu())
