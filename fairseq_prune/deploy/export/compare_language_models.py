"""Whether CTranslate2 scores text as fairseq's language model does."""

import math
from dataclasses import dataclass

import numpy as np
import torch

from ..verify import ROWS, samples_of
from .compare_translations import LIMIT
from .hypotheses import made_up_sentences


@dataclass(frozen=True)
class Evidence:
    """Rows of token ids without padding, and fairseq's log-probabilities of what follows each of them.

    Args:
        rows: list of lists of ids.
        log_probs: list of float32 tensors [length, vocabulary].
        targets: list of int64 tensors [length], None for made-up text.
    """

    rows: list
    log_probs: list
    targets: list


@torch.no_grad()
def gather(task, model, split, batches):
    """Score text of the data with fairseq; made-up text, where there is no such split. As of translations."""
    try:
        samples = samples_of(task, split, model, batches)
    except FileNotFoundError:
        samples = []
    pad, gathered = task.source_dictionary.pad(), Evidence([], [], [])
    for sample in samples or made_up_sentences(task.source_dictionary, batches, ROWS):
        tokens = sample["net_input"]["src_tokens"]
        scores = model.get_normalized_probs(model(**sample["net_input"]), log_probs=True)
        for i, row in enumerate(tokens):
            real = row != pad
            gathered.rows.append(row[real].tolist())
            gathered.log_probs.append(scores[i][real])
            gathered.targets.append(sample["target"][i][real] if "target" in sample else None)
    return gathered


def require_same(evidence, folder):
    """Refuse a float32 model that scores otherwise than fairseq; as of translations."""
    report = describe(evidence, folder, "cpu")
    if not report["largest_difference"] <= LIMIT:
        raise ValueError(
            "CTranslate2 does not compute the same: log-probabilities differ by up to "
            f"{report['largest_difference']:.1e}; nothing is written"
        )
    return report


def describe(evidence, folder, device):
    """Compare a model of CTranslate2 with fairseq's scores.

    Args:
        evidence: of fairseq.
        folder: CTranslate2's model.
        device: "cpu" or "cuda".

    Returns:
        dict: ``sentences`` that were scored; ``largest_difference`` of a log-probability;
        ``perplexity`` of fairseq and CTranslate2 where the text is the data's.
    """
    import ctranslate2

    runtime = ctranslate2.Generator(folder, device=device, intra_threads=torch.get_num_threads())
    found = [_scores(runtime, row) for row in evidence.rows]
    pairs = list(zip(evidence.log_probs, found, strict=True))
    report = {"sentences": len(found), "largest_difference": max(float((a - b).abs().max()) for a, b in pairs)}
    if evidence.targets[0] is not None:
        report["perplexity"] = [_perplexity(scores, evidence.targets) for scores in (evidence.log_probs, found)]
    return report


def _scores(runtime, row):
    import ctranslate2

    scores = runtime.forward_batch([row], return_log_probs=True)
    return torch.from_numpy(np.array(scores.to_device(ctranslate2.Device.cpu)))[0]


def _perplexity(scores, targets):
    losses = [-s.gather(1, t[:, None]).squeeze(1) for s, t in zip(scores, targets, strict=True)]
    return math.exp(float(torch.cat(losses).mean()))
