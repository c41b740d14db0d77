"""Scores: what one evaluation counts."""

import math
from dataclasses import dataclass
from typing import Optional


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

    block_hits: tuple
    targets: int
    nll: Optional[float] = None
    complete: bool = True

    @property
    def hits(self):
        """Correct predictions (count)."""
        return sum(self.block_hits)

    @property
    def accuracy(self):
        """Fraction of correct predictions, in [0, 1]; of an abandoned evaluation a lower bound."""
        return self.hits / self.targets

    @property
    def perplexity(self):
        """exp of the mean negative log-likelihood, the exponent capped at 100; None without one."""
        return None if self.nll is None else math.exp(min(self.nll / self.targets, 100))

    def plain(self):
        """The score as plain values."""
        return {
            "accuracy": self.accuracy, "perplexity": self.perplexity, "hits": self.hits, "targets": self.targets,
        }  # fmt: skip
