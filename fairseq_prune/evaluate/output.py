"""The output layer, walked in pieces that stay in the processor's cache."""

import torch
from fairseq.models import FairseqDecoder
from torch import Tensor
from torch.nn import functional as F

_PIECE = 64  # rows of logits at a time; whole batches are 2 to 4 times slower
_SCREEN = 512  # words that are tried first


class OutputLayer:
    """Counts hits and likelihoods without keeping logits.

    Most misses show without the whole vocabulary: one word with a higher score is enough, and it is
    nearly always among the few that the model predicts most. Only what survives this screen meets all
    words. (Hits are exact but for scores that differ by rounding.)

    Args:
        decoder: fairseq decoder with a linear output layer over features.
        predicted: how often each row was predicted (int64 [rows]), to try the first words by.

    Raises:
        ValueError: the output layer is not linear.
    """

    def __init__(self, decoder: FairseqDecoder, predicted: Tensor | None = None):
        self._decoder = decoder
        weight, _ = self._linear()
        self._first = len(decoder.dictionary) - len(weight)  # words before the first row
        self.predicted = torch.zeros(len(weight), dtype=torch.int64) if predicted is None else predicted
        self._select_screen(weight)

    def _select_screen(self, weight):
        self._screen = self.predicted.topk(min(_SCREEN, len(weight))).indices.to(weight.device)

    def _linear(self):
        decoder = self._decoder
        layer = getattr(decoder, "output_projection", None) or getattr(decoder, "fc_out", None)
        if layer is not None:
            return layer.weight, layer.bias
        if getattr(decoder, "share_input_output_embed", False) and getattr(decoder, "adaptive_softmax", None) is None:
            return decoder.embed_tokens.weight, None
        raise ValueError("--criterion: the search needs a linear output layer, not an adaptive softmax")

    def count_predictions(self, features: Tensor, targets: Tensor) -> int:
        """Count hits against all words, and learn for the screen how often each word is predicted.

        Args:
            features: float [n, width].
            targets: int64 [n].

        Returns:
            Hits (count).
        """
        weight, bias = self._linear()
        rows = torch.cat([F.linear(x, weight, bias).max(1).indices for x in features.split(_PIECE)])
        self.predicted += torch.bincount(rows, minlength=len(weight)).to(self.predicted.device)
        self._select_screen(weight)
        return int((rows == targets - self._first).sum())

    def count_hits(self, features: Tensor, targets: Tensor) -> int:
        """Predictions whose highest score is the target's (count); arguments as :meth:`count_predictions`."""
        weight, bias = self._linear()
        rows = targets - self._first
        alive = self._survivors(features, rows, weight, bias)
        hits = 0
        for x, row in zip(features[alive].split(_PIECE), rows[alive].split(_PIECE), strict=True):
            hits += int((F.linear(x, weight, bias).max(1).indices == row).sum())
        return hits

    def _survivors(self, features, rows, weight, bias):
        """True where no word of the screen beats the target, bool [n]."""
        own = (features * weight[rows]).sum(1)
        few, offsets = weight[self._screen], None
        if bias is not None:
            own, offsets = own + bias[rows], bias[self._screen]
        alive = []
        for x, row, score in zip(*(part.split(4 * _PIECE) for part in (features, rows, own)), strict=True):
            scores = F.linear(x, few, offsets)
            scores.masked_fill_(self._screen == row.unsqueeze(1), -torch.inf)
            alive.append(scores.max(1).values <= score)
        return torch.cat(alive)

    def nll(self, features: Tensor, targets: Tensor) -> float:
        """Sum of negative log-likelihoods (nats, float); arguments as :meth:`count_predictions`."""
        weight, bias = self._linear()
        total = 0.0
        for x, row in zip(features.split(_PIECE), (targets - self._first).split(_PIECE), strict=True):
            total += float(F.cross_entropy(F.linear(x, weight, bias).float(), row, reduction="sum").double())
        return total
