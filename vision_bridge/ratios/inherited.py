"""``--base-pr-model``: remove the units that another run removed, or as many of them in every layer."""

from collections.abc import Mapping, Sequence
from fractions import Fraction

import torch
from torch import Tensor

from fairseq_prune.compat import load_checkpoint
from fairseq_prune.pruning.masks import stored_masks, unpack_mask
from fairseq_prune.pruning.selecting import Inherited, Selection
from fairseq_prune.pruning.surgery.structure import Structure, masks_without


class Base:
    """A pruned checkpoint: its shapes, its masks, and the record of which units were cut.

    Args:
        path: path of the checkpoint.
        by_index: True: remove the same units; False: remove as many.

    Raises:
        ValueError: the file is unreadable.
    """

    def __init__(self, path: str, by_index: bool):
        checkpoint = load_checkpoint(path)
        self._path, self._by_index = path, by_index
        self._state, self._masks = checkpoint["model"], stored_masks(checkpoint["model"])
        states = [s for s in checkpoint.get("extra_state", {}).values() if isinstance(s, dict)]
        kept = next((state["kept"] for state in states if state.get("kept")), {})
        self._kept = {vector: unpack_mask(units) for vector, units in kept.items()}

    def of_units(
        self, structure: Structure, groups: Sequence[str], parameters: Mapping[str, Tensor]
    ) -> tuple[dict[str, Fraction], Inherited]:
        """Which coupled units the checkpoint lost.

        Args:
            structure: :class:`~fairseq_prune.pruning.surgery.structure.Structure`.
            groups: names of vectors.
            parameters: dict of name -> parameter, at full width.

        Returns:
            (dict of vector name -> exact fraction, :class:`~fairseq_prune.pruning.selecting.Inherited`).

        Raises:
            ValueError: the checkpoint has another architecture, lost nothing, or does not say which units it lost.
        """
        left, keep = {}, {}
        for name in groups:
            vector = structure.vectors[name]
            alive = self._alive(vector)
            left[name] = Fraction(vector.length - int(alive.sum()), vector.length)
            keep[name] = self._at_full_width(vector, alive)
        self._refuse_nothing(left)
        if any(units is None for units in keep.values()):
            return left, self._inherited(None, next(name for name, units in keep.items() if units is None))
        shapes = {name: p.shape for name, p in parameters.items()}
        return left, self._inherited(Selection(masks_without(structure, shapes, keep), keep))

    def of_weights(
        self, groups: Sequence[str], parameters: Mapping[str, Tensor]
    ) -> tuple[dict[str, Fraction], Inherited]:
        """Which weights masks removed in the checkpoint; arguments, result and errors as for :meth:`of_units`."""
        left = {}
        for name in groups:
            self._require(name, parameters[name].shape)
            keep = self._masks.get(name)
            left[name] = Fraction(int((~keep).sum()), keep.numel()) if keep is not None else Fraction(0)
        self._refuse_nothing(left)
        return left, self._inherited(Selection({name: keep for name, keep in self._masks.items() if name in left}))

    def _alive(self, vector):
        """Units that are neither cut nor masked, bool [units in the checkpoint]."""
        alive = []
        for writer in vector.writers:
            self._require(writer)
            keep = self._masks.get(writer, torch.ones(len(self._state[writer]), 1, dtype=torch.bool))
            alive.append(keep.flatten(1).any(1))
        if len({len(units) for units in alive}) > 1 or len(alive[0]) > vector.length:
            raise self._error(f"its {vector.writers[0]} does not fit a layer of {vector.length} units")
        return torch.stack(alive).any(0)

    def _at_full_width(self, vector, alive):
        """The living units, bool [units before the cut]; None if it is not known which were cut."""
        if len(alive) == vector.length:
            return alive
        kept = self._kept.get(vector.name)
        if kept is None or len(kept) != vector.length or int(kept.sum()) != len(alive):
            return None
        return kept.masked_scatter(kept, alive)

    def _inherited(self, selection, lost=None):
        if self._by_index and selection is None:
            raise self._error(f"it does not say which units of {lost} were cut; give --inherit-pruned pr")
        return Inherited(selection, self._by_index)

    def _require(self, name, shape=None):
        if name not in self._state:
            raise self._error(f"it has no {name}; give a checkpoint of the same --arch")
        if shape is not None and self._state[name].shape != shape:
            raise self._error(f"its {name} has another shape; for what was cut, give e.g. --prune-units filter")

    def _refuse_nothing(self, left):
        if not any(left.values()):
            raise self._error("none of these units was removed there; give a pruned checkpoint")

    def _error(self, text):
        return ValueError(f"--base-pr-model {self._path}: {text}")
