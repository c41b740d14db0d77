"""What a search minimises: minus the fraction removed, as long as accuracy holds."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limit:
    """An accuracy limit.

    Args:
        accuracy: of the original model.
        drop: tolerated, in the same measure; a drop of exactly this much is within the limit.
    """

    accuracy: float
    drop: float

    @property
    def floor(self):
        """Lowest accuracy within the limit."""
        return self.accuracy - self.drop

    def allows(self, accuracy):
        """True if the accuracy is within the limit (to 1e-12, for sums of decimal fractions)."""
        return self.accuracy - accuracy <= self.drop + 1e-12

    def fitness(self, accuracy, removed):
        """SiPO's objective: ``-removed`` in [-1, 0] within the limit, else drop / tolerated drop, above 1.

        Args:
            accuracy: of the candidate.
            removed: fraction of the weights, in [0, 1].
        """
        if self.allows(accuracy):
            return -removed
        return (self.accuracy - accuracy) / max(self.drop, 1e-9)
