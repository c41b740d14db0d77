"""The objective of a search: minus the fraction removed, as long as the accuracy limit holds."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limit:
    """A limit of accuracy and, if one is given, of perplexity.

    Args:
        accuracy: of the original model.
        drop: tolerated, in the same measure; a drop of exactly this much is within the limit.
        perplexity: highest within the limit; None = any.
    """

    accuracy: float
    drop: float
    perplexity: float | None = None

    @property
    def floor(self) -> float:
        """Lowest accuracy within the limit."""
        return self.accuracy - self.drop

    def allows(self, accuracy: float) -> bool:
        """True if the accuracy is within the limit (to 1e-12, for sums of decimal fractions)."""
        return self.accuracy - accuracy <= self.drop + 1e-12

    def fitness(self, accuracy: float, removed: float, perplexity: float | None = None) -> float:
        """SiPO's objective: ``-removed`` in [-1, 0] within the limit, else drop / tolerated drop, above 1.

        Not SiPO's: where accuracy is within its limit and perplexity is not, perplexity / highest perplexity.

        Args:
            accuracy: of the candidate.
            removed: fraction of the weights, in [0, 1].
            perplexity: of the candidate; None if it does not count.
        """
        if not self.allows(accuracy):
            return (self.accuracy - accuracy) / max(self.drop, 1e-9)
        if perplexity is not None and self.perplexity is not None and perplexity > self.perplexity:
            return perplexity / self.perplexity
        return -removed
