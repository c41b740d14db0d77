"""Evaluates a model, or its copies with other weights, on one split."""

import copy
from collections.abc import Callable
from typing import Self

import torch
from fairseq.models import BaseFairseqModel
from torch import Tensor

from ..modules.csr.execute import Execution
from .blocks import Blocks
from .output import OutputLayer
from .score import Score, perplexity


class Evaluator:
    """Teacher-forced accuracy and perplexity of a model.

    Args:
        model: fairseq model; put into evaluation mode.
        blocks: function of a model -> iterator over (features float [n, width], targets int64 [n]), the
            same data in the same order each time.
        denominator: what counts are divided by (count); None = the targets.
        predicted: how often each word was predicted in an earlier :meth:`measure`.
        how: layers run, as of :class:`~fairseq_prune.modules.csr.execute.Execution`.

    Attributes:
        model: the model.
        parameters: its parameters by name.

    Raises:
        ValueError: the model has no linear output layer.
    """

    def __init__(
        self,
        model: BaseFairseqModel,
        blocks: Blocks,
        denominator: int | None = None,
        predicted: Tensor | None = None,
        how: str = "dense",
    ):
        self.model = model.eval()
        self.parameters = dict(model.named_parameters())
        self._blocks, self._denominator = blocks, denominator
        self._output = OutputLayer(model.decoder, predicted, how)
        self._execution, self._how = Execution(model, how), how

    def copy(self) -> Self:
        """An evaluator of a copy of the model, for another thread, that knows which words were predicted."""
        model, predicted = copy.deepcopy(self.model), self._output.predicted.clone()
        return type(self)(model, self._blocks, self._denominator, predicted, self._how)

    def _walk(self):
        """Blocks of features and targets, by the weights as they are now."""
        self._execution.refresh()
        self._output.refresh()
        return self._blocks(self.model)

    @torch.no_grad()
    def hits(self, targets: int, hopeless: Callable[[list[int]], bool] = lambda hits: False) -> Score:
        """Count correct predictions.

        Args:
            targets: of the split (count), from an earlier :meth:`measure`.
            hopeless: function of the hits in the blocks so far -> True to stop.
        """
        block_hits = []
        for features, words in self._walk():
            block_hits.append(self._output.count_hits(features, words))
            if hopeless(block_hits):
                return Score(tuple(block_hits), targets, complete=False)
        return Score(tuple(block_hits), targets)

    @torch.no_grad()
    def perplexity(self, targets: int) -> float:
        """Perplexity (float); ``targets`` as in :meth:`hits`."""
        nll = sum(self._output.nll(features, words) for features, words in self._walk())
        return perplexity(nll, targets)

    @torch.no_grad()
    def measure(self) -> Score:
        """Count correct predictions and likelihoods, :class:`Score`.

        Raises:
            ValueError: the split is empty.
        """
        block_hits, targets, nll = [], 0, 0.0
        for features, words in self._walk():
            block_hits.append(self._output.count_predictions(features, words))
            nll += self._output.nll(features, words)
            targets += len(words)
        if not targets:
            raise ValueError("the split has no targets; give data with text, e.g. valid.txt of a line or more")
        return Score(tuple(block_hits), self._denominator or targets, nll)
