"""The objective of a search: the negative of the fraction removed, as long as the accuracy limit holds."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limit:
    """A limit on accuracy and, if given, on perplexity.

    Args:
        accuracy: accuracy of the original model.
        drop: tolerated drop, in the same unit; a drop of exactly this much is within the limit.
        perplexity: highest perplexity within the limit; None: any.
    """

    accuracy: float
    drop: float
    perplexity: float | None = None

    @property
    def floor(self) -> float:
        """Lowest accuracy within the limit."""
        return self.accuracy - self.drop

    def allows(self, accuracy: float) -> bool:
        """True if the accuracy is within the limit (up to 1e-12, for rounding of decimal fractions)."""
        return self.accuracy - accuracy <= self.drop + 1e-12

    def fitness(self, accuracy: float, removed: float, perplexity: float | None = None) -> float:
        """SiPO's objective: ``-removed`` in [-1, 0] within the limit, else drop / tolerated drop, which is above 1.

        We add: if accuracy is within its limit but perplexity is not, perplexity / highest perplexity.

        Args:
            accuracy: accuracy of the candidate.
            removed: fraction of the weights removed, in [0, 1].
            perplexity: perplexity of the candidate; None if it does not count.
        """
        if not self.allows(accuracy):
            return (self.accuracy - accuracy) / max(self.drop, 1e-9)
        if perplexity is not None and self.perplexity is not None and perplexity > self.perplexity:
            return perplexity / self.perplexity
        return -removed
