"""Beam search over a split: BLEU, and what the original called the testing perplexity."""

import math

import torch
from fairseq import utils
from fairseq.data import data_utils
from fairseq.dataclass.configs import GenerationConfig
from fairseq.models import BaseFairseqModel
from fairseq.tasks import FairseqTask

_SENTENCES = 32  # a batch
_LONGEST = 100


@torch.no_grad()
def translate(model: BaseFairseqModel, task: FairseqTask, split: str, reference: bool = False) -> dict[str, float]:
    """Translate a split with beam 5.

    Args:
        model: encoder-decoder.
        task: its task, with the split loaded.
        split: name.
        reference: hypotheses are ranked by their total log-probability, as the original's, not by its mean.

    Returns:
        dict: ``bleu`` in [0, 100] over whitespace tokens, case-sensitive; ``sacrebleu``, the same with
        sacreBLEU's 13a tokeniser and smoothing; ``hyp_ppl``, exp(-total log-probability of the best hypotheses / tokens
        of the references, ends included): no perplexity of the references.
    """
    from sacrebleu.metrics import BLEU

    generator = task.build_generator([model], GenerationConfig(max_len_b=_LONGEST, unnormalized=reference))
    hypotheses, references, logprob, tokens = [], [], 0.0, 0
    device = next(model.parameters()).device
    for sample in _batches(model, task, split):
        sample = utils.apply_to_sample(lambda tensor: tensor.to(device), sample)
        for found, target in zip(task.inference_step(generator, [model], sample), sample["target"], strict=True):
            best, words = found[0], utils.strip_pad(target, task.target_dictionary.pad())
            logprob += float(best["positional_scores"].double().sum())
            tokens += len(words)
            hypotheses.append(_text(task, best["tokens"]))
            references.append(_text(task, words, escape_unk=True))
    return {
        "bleu": whitespace_bleu(hypotheses, references),
        "sacrebleu": BLEU(force=True).corpus_score(hypotheses, [references]).score,
        "hyp_ppl": hypothesis_perplexity(logprob, tokens),
    }


def whitespace_bleu(hypotheses: list[str], references: list[str]) -> float:
    """Corpus BLEU-4 in [0, 100] over whitespace tokens (lists of str), case-sensitive, not smoothed."""
    from sacrebleu.metrics import BLEU

    return BLEU(tokenize="none", smooth_method="none", force=True).corpus_score(hypotheses, [references]).score


def hypothesis_perplexity(logprob: float, tokens: int) -> float:
    """exp(-logprob / tokens); the total log-probability (nats) of hypotheses over the references' tokens (count)."""
    return math.exp(-logprob / tokens)


def _batches(model, task, split):
    dataset = task.dataset(split)
    with data_utils.numpy_seed(1):
        return task.get_batch_iterator(
            dataset,
            max_sentences=_SENTENCES,
            max_positions=utils.resolve_max_positions(task.max_positions(), model.max_positions()),
            ignore_invalid_inputs=True,
        ).next_epoch_itr(shuffle=False)


def _text(task, tokens, escape_unk=False):
    """Words; an unknown word of a reference is written so that no hypothesis can match it."""
    return task.target_dictionary.string(tokens, "subword_nmt", escape_unk=escape_unk)
