"""The fraction of a model's prunable set that is removed, counted once after every change."""

from ..pruning.masks import checksum
from ..pruning.selecting import count_removed
from .masked_model import MaskedModel
from .targets import Targets


class Tally:
    """Counts what masks and cuts have removed.

    Args:
        masked: the model's masks.
        targets: that say what is prunable.

    Attributes:
        whole: weights of the prunable set before any were cut (count).
    """

    def __init__(self, masked: MaskedModel, targets: Targets):
        self._masked, self._targets = masked, targets
        self.whole = targets.total
        self._counted: object = None  # the masks that the fraction is of
        self._fraction = 0.0

    @property
    def fraction(self) -> float:
        """Fraction removed (float in [0, 1)); asked for at every update."""
        if self._counted is not self._masked.masks:
            removed, total = count_removed(self._targets.prunables, self._masked.masks)
            self._counted, self._fraction = self._masked.masks, 1 - (total - removed) / self.whole
        return self._fraction

    def summary(self) -> str:
        """How much is removed, where least and where most, and a checksum to compare ranks and runs by, one line."""
        masks, prunables = self._masked.masks, self._targets.prunables
        counts = ((p.name, count_removed([p], masks)) for p in prunables)
        parts = [(removed / total, name) for name, (removed, total) in counts]
        (low, least), (high, most) = min(parts), max(parts)
        now, so_far = self._targets.total, f"{self.fraction:.4f} of {self.whole:,} weights removed"
        if now < self.whole:
            return f"{so_far}, {now:,} are left after a cut"
        return f"{so_far} (least {low:.2f} {least}, most {high:.2f} {most}; masks {checksum(masks):08x})"
