"""Comparing how CTranslate2 and fairseq's language model score text."""

import math
from typing import Any

import numpy as np
import torch
from fairseq.models import BaseFairseqModel
from fairseq.tasks import FairseqTask
from torch import Tensor

from .evidence import log_probabilities_differ, sentences


class TextScores:
    """Evidence (:class:`~.evidence.Evidence`): fairseq's log-probability of each next word in rows of text.

    Args:
        task: task of the model.
        model: language model in eval mode, float32.
        split: split of the data.
        batches: number of batches, of four rows each.
    """

    def __init__(self, task: FairseqTask, model: BaseFairseqModel, split: str, batches: int):
        self.rows: list[list[int]] = []
        self.targets: list[Tensor] = []
        self.expected: list[Tensor] = []
        samples = sentences(task, model, split, batches)
        self.real = "target" in samples[0]
        for sample in samples:
            self._score(sample, model, task.source_dictionary.pad())

    @torch.no_grad()
    def _score(self, sample, model, pad):
        tokens = sample["net_input"]["src_tokens"]
        scores = model.get_normalized_probs(model(**sample["net_input"]), log_probs=True)
        targets = sample["target"] if self.real else tokens.roll(-1, 1)  # made-up text has no targets: it wraps around
        for row, own, target in zip(tokens, scores, targets, strict=True):
            real = row != pad
            self.rows.append(row[real].tolist())
            self.targets.append(target[real])
            self.expected.append(_of_words(own[real], target[real]))

    def compare(self, folder: str, device: str) -> dict[str, Any]:
        """As the protocol says; for real text, the report also has the ``perplexity`` of fairseq and CTranslate2."""
        import ctranslate2

        runtime = ctranslate2.Generator(folder, device=device, intra_threads=torch.get_num_threads())
        pairs = zip(self.rows, self.targets, strict=True)
        found = torch.cat([_of_words(_scores(runtime, row), target) for row, target in pairs])
        expected = torch.cat(self.expected)
        report: dict[str, Any] = {
            "sentences": len(self.rows),
            "largest_difference": float((expected - found).abs().max()),
        }
        if self.real:
            report["perplexity"] = [math.exp(-float(scores.mean())) for scores in (expected, found)]
        return report

    def disagreement(self, report: dict[str, Any]) -> str:
        """Says whether the log-probabilities differ by more than rounding."""
        return log_probabilities_differ(report)


def _scores(runtime, row):
    import ctranslate2

    scores = runtime.forward_batch([row], return_log_probs=True)
    return torch.from_numpy(np.array(scores.to_device(ctranslate2.Device.cpu)))[0]


def _of_words(scores, words):
    """Select from scores [length, vocabulary] those of the words [length]."""
    return scores.float().gather(1, words[:, None])[:, 0]
