"""Whether a retrained model has recovered the original's accuracy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_ROUNDING = 1e-12
_MEASURES = {
    "accuracy": ("accuracy",), "perplexity": ("perplexity",), "both": ("accuracy", "perplexity"),
}  # fmt: skip


@dataclass(frozen=True)
class Recovery:
    """What an epoch of retraining must reach.

    Args:
        accuracy: of the original model.
        perplexity: of the original model.
        slack: accuracy that may be missing, and the fraction by which perplexity may be higher.
        by: accuracy (SiPO's), perplexity, or both.
    """

    accuracy: float
    perplexity: float
    slack: float = 0.0
    by: str = "accuracy"

    def reached(self, score: Mapping[str, float]) -> bool:
        """True if a score (dict with ``accuracy`` and ``perplexity``) is as good as the original's, the slack aside."""
        reached = {
            "accuracy": score["accuracy"] >= self.accuracy - self.slack - _ROUNDING,
            "perplexity": score["perplexity"] <= self.perplexity * (1 + self.slack + _ROUNDING),
        }
        return all(reached[measure] for measure in _MEASURES[self.by])

    def best(self, scores: Sequence[Mapping[str, float]]) -> int:
        """Index of the best of the scores that reach it, or of all if none does.

        The best is the first of the lowest perplexity where only that counts, else of the highest accuracy.
        """
        among = [i for i, score in enumerate(scores) if self.reached(score)] or range(len(scores))
        if self.by == "perplexity":
            return min(among, key=lambda i: scores[i]["perplexity"])
        return max(among, key=lambda i: scores[i]["accuracy"])
