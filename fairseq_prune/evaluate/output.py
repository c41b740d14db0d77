"""The output layer, computed in blocks that fit the processor's cache."""

from typing import Any

import torch
from fairseq.models import FairseqDecoder
from torch import Tensor, nn
from torch.nn import functional as F

from ..modules.csr.choice import Faster
from ..modules.csr.forms import CsrLinear

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
        how: its products are computed, as of :class:`~fairseq_prune.modules.csr.choice.Faster`.

    Raises:
        ValueError: the output layer is not linear.
    """

    def __init__(self, decoder: FairseqDecoder, predicted: Tensor | None = None, how: str = "dense"):
        self._decoder = decoder
        weight, _ = self._linear()
        self._first = len(decoder.dictionary) - len(weight)  # words before the first row
        self.predicted = torch.zeros(len(weight), dtype=torch.int64) if predicted is None else predicted
        self._scores = _product("all words", self._linear, how)
        self._few_scores = _product("words of the screen", self._few, how)
        self._select_screen(weight)

    def refresh(self) -> None:
        """Forget what was made of the weights: they have changed."""
        self._scores.refresh()
        self._few_scores.refresh()

    def _few(self):
        weight, bias = self._linear()
        return weight[self._screen], None if bias is None else bias[self._screen]

    def _select_screen(self, weight):
        self._screen = self.predicted.topk(min(_SCREEN, len(weight))).indices.to(weight.device)
        self._few_scores.refresh()

    def _linear(self):
        if (layer := linear_output(self._decoder)) is None:
            raise ValueError("--adaptive-softmax-cutoff: the search needs a linear output layer; leave it out")
        return layer

    def count_predictions(self, features: Tensor, targets: Tensor) -> int:
        """Count hits against all words, and learn for the screen how often each word is predicted.

        Args:
            features: float [n, width].
            targets: int64 [n].

        Returns:
            Hits (count).
        """
        weight, _ = self._linear()
        rows = torch.cat([self._scores(x).max(1).indices for x in features.split(_PIECE)])
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
            hits += int((self._scores(x).max(1).indices == row).sum())
        return hits

    def _survivors(self, features, rows, weight, bias):
        """True where no word of the screen beats the target, bool [n]."""
        own = (features * weight[rows]).sum(1)
        own = own if bias is None else own + bias[rows]
        alive = []
        for x, row, score in zip(*(part.split(4 * _PIECE) for part in (features, rows, own)), strict=True):
            scores = self._few_scores(x)
            scores.masked_fill_(self._screen == row.unsqueeze(1), -torch.inf)
            alive.append(scores.max(1).values <= score)
        return torch.cat(alive)

    def nll(self, features: Tensor, targets: Tensor) -> float:
        """Sum of negative log-likelihoods (nats, float); arguments as :meth:`count_predictions`."""
        total = 0.0
        for x, row in zip(features.split(_PIECE), (targets - self._first).split(_PIECE), strict=True):
            total += float(F.cross_entropy(self._scores(x).float(), row, reduction="sum").double())
        return total


def linear_output(decoder: Any) -> tuple[Tensor, Tensor | None] | None:
    """Weight [rows, width] and bias [rows] of a decoder's output layer; None: it is not linear."""
    layer: Any = output_module(decoder)
    if layer is not None:
        return layer.weight, layer.bias
    tied = getattr(decoder, "share_input_output_embed", False) and getattr(decoder, "adaptive_softmax", None) is None
    return (decoder.embed_tokens.weight, None) if tied else None


def output_module(decoder: FairseqDecoder) -> nn.Module | None:
    """A decoder's linear output layer, by the names that fairseq has for it; None: it has none of its own."""
    layers = (getattr(decoder, name, None) for name in ("output_projection", "fc_out", "fc3"))
    return next((layer for layer in layers if layer is not None), None)


def _product(name, matrix, how):
    """A product with what a function returns: (weight, bias)."""
    return Faster(name, lambda x: F.linear(x, *matrix()), lambda: CsrLinear(*matrix()), how)
