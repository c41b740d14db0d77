"""Whether CTranslate2 translates as fairseq does."""

from dataclasses import dataclass
from typing import List

import torch

from ..verify import ROWS, samples_of
from .hypotheses import BEAM, LONGEST, Hypothesis, fairseq_hypotheses, made_up_sentences
from .vocabulary import words_of

LIMIT = 1e-3  # difference of a token's log-probability, and of the scores of two translations that are equally good


@dataclass(frozen=True)
class Evidence:
    """fairseq's translations of sentences, and the dictionaries that spell them."""

    expected: List[Hypothesis]
    source: object
    target: object


def gather(task, model, split, batches):
    """Translate sentences of the data with fairseq; made-up ones, where there is no such split.

    Args:
        task: of the model.
        model: in eval mode.
        split: of the data.
        batches: of four sentences (count).

    Returns:
        :class:`Evidence`.
    """
    try:
        samples = samples_of(task, split, model, batches)
    except FileNotFoundError:
        samples = []
    samples = samples or made_up_sentences(task.source_dictionary, batches, ROWS)
    return Evidence(fairseq_hypotheses(task, model, samples), task.source_dictionary, task.target_dictionary)


def require_same(evidence, folder):
    """Refuse a float32 model that scores or translates otherwise than fairseq.

    Args:
        evidence: of fairseq.
        folder: CTranslate2's model.

    Returns:
        The report of :func:`describe`.

    Raises:
        ValueError: a log-probability is off by more than :data:`LIMIT`, or a translation differs and
            scores lower by more than that. (Its search ends a little later and now and then finds a better one.)
    """
    report = describe(evidence, folder, "cpu")
    if not report["largest_difference"] <= LIMIT or report["same"] + report["as_good"] < report["compared"]:
        raise ValueError(
            "CTranslate2 does not compute the same: log-probabilities differ by up to "
            f"{report['largest_difference']:.1e}, and {report['compared'] - report['same']} of {report['compared']} "
            "translations; nothing is written"
        )
    return report


def describe(evidence, folder, device):
    """Compare a model of CTranslate2 with fairseq's translations.

    Args:
        evidence: of fairseq.
        folder: CTranslate2's model.
        device: "cpu" or "cuda".

    Returns:
        dict: ``sentences``; ``compared`` those that fairseq finished within the limit of length, ``same``
        the number translated alike, ``as_good`` that differ but score no lower; ``largest_difference`` of a
        token's log-probability, given fairseq's translation; ``bleu`` of fairseq and CTranslate2 where the
        sentences are the data's.
    """
    import ctranslate2

    runtime = ctranslate2.Translator(folder, device=device, intra_threads=torch.get_num_threads())
    expected = evidence.expected
    sources = [_spell(hypothesis.source, evidence.source) for hypothesis in expected]
    targets = [_spell(hypothesis.target, evidence.target) for hypothesis in expected]
    scored = runtime.score_batch(sources, targets, max_batch_size=ROWS)
    found = runtime.translate_batch(
        sources, beam_size=BEAM, max_decoding_length=LONGEST, return_scores=True, max_batch_size=ROWS
    )
    differences = [
        (torch.tensor(score.log_probs) - hypothesis.log_probs).abs().max()
        for score, hypothesis in zip(scored, expected, strict=True)
    ]
    translations = [translation.hypotheses[0] for translation in found]
    pairs = [trio for trio in zip(expected, targets, found, strict=True) if trio[0].finished]
    alike = [target == translation.hypotheses[0] for _, target, translation in pairs]
    no_worse = [translation.scores[0] >= hypothesis.score - LIMIT for hypothesis, _, translation in pairs]
    return {
        "sentences": len(expected),
        "compared": len(pairs),
        "same": sum(alike),
        "as_good": sum(good and not same for same, good in zip(alike, no_worse, strict=True)),
        "largest_difference": float(torch.stack(differences).max()),
        **_bleu(evidence, targets, translations),
    }


def _spell(ids, dictionary):
    words = words_of(dictionary)
    return [words[i] for i in ids]


def _bleu(evidence, expected, found):
    if evidence.expected[0].reference is None:
        return {}
    import sacrebleu

    references = [_text(_spell(hypothesis.reference, evidence.target)) for hypothesis in evidence.expected]
    scores = [
        sacrebleu.corpus_bleu([_text(words) for words in lines], [references], tokenize="none", force=True).score
        for lines in (expected, found)
    ]
    return {"bleu": scores}


def _text(words):
    return (" ".join(words) + " ").replace("@@ ", "").strip()
