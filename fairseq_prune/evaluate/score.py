"""The counts of one evaluation."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Score:
    """Counts over a data set.

    Args:
        block_hits: correct predictions in each block (counts); fewer blocks than the data set has if the
            evaluation was abandoned.
        targets: predictions of the whole data set (count).
        nll: sum of negative log-likelihoods (nats); None if it was not asked for.
        complete: False for an abandoned evaluation.
    """

    block_hits: tuple[int, ...]
    targets: int
    nll: float | None = None
    complete: bool = True

    @property
    def hits(self) -> int:
        """Correct predictions (count)."""
        return sum(self.block_hits)

    @property
    def accuracy(self) -> float:
        """Fraction of correct predictions, in [0, 1]; of an abandoned evaluation a lower bound."""
        return self.hits / self.targets

    @property
    def perplexity(self) -> float | None:
        """As :func:`perplexity`; None without likelihoods."""
        return None if self.nll is None else perplexity(self.nll, self.targets)

    def plain(self) -> dict[str, float | None]:
        """The score as plain values."""
        return {
            "accuracy": self.accuracy, "perplexity": self.perplexity, "hits": self.hits, "targets": self.targets,
        }  # fmt: skip


def perplexity(nll: float, targets: int) -> float:
    """exp of the mean negative log-likelihood (nats) of so many predictions, the exponent capped at 100."""
    return math.exp(min(nll / targets, 100))
