"""Comparing the translations of CTranslate2 and fairseq."""

from argparse import Namespace
from dataclasses import dataclass
from typing import Any

import torch
from fairseq.dataclass.configs import GenerationConfig
from fairseq.models import BaseFairseqModel
from fairseq.tasks import FairseqTask

from ..verify import ROWS
from .evidence import LIMIT, log_probabilities_differ, sentences
from .vocabulary import Speller, joined

BEAM = 5
LONGEST: int = GenerationConfig.max_len_b  # tokens of a translation, fairseq-generate's default


@dataclass(frozen=True)
class Translation:
    """fairseq's translation of one sentence.

    Args:
        source: words of the sentence.
        target: words of the translation.
        log_probs: log-probabilities of its words and of the end of the sentence, float32 [length + 1].
        finished: False if the translation ended only at the length limit.
        reference: words of the reference translation; None for made-up sentences.
    """

    source: list[str]
    target: list[str]
    log_probs: torch.Tensor
    finished: bool
    reference: list[str] | None


class Translations:
    """Evidence (:class:`~.evidence.Evidence`): translations by fairseq's own generator, with beam 5.

    Args:
        task: task of the model.
        model: encoder-decoder in eval mode, float32.
        split: split of the data.
        batches: number of batches, of four sentences each.
    """

    def __init__(self, task: FairseqTask, model: BaseFairseqModel, split: str, batches: int):
        self.longest = min(LONGEST, model.max_decoder_positions() - 1)
        self.expected = list(self._translate(task, model, sentences(task, model, split, batches)))

    def _translate(self, task, model, samples):
        generator = task.build_generator([model], Namespace(beam=BEAM, max_len_a=0, max_len_b=self.longest))
        source_words, target_words = map(Speller, (task.source_dictionary, task.target_dictionary))
        for sample in samples:
            best = [beams[0] for beams in task.inference_step(generator, [model], sample)]
            references = [None] * len(best) if sample.get("target") is None else sample["target"]
            for source, found, reference in zip(sample["net_input"]["src_tokens"], best, references, strict=True):
                yield Translation(
                    source_words(source),
                    target_words(found["tokens"]),
                    found["positional_scores"],
                    len(found["tokens"]) <= self.longest,
                    None if reference is None else target_words(reference),
                )

    def compare(self, folder: str, device: str) -> dict[str, Any]:
        """As the protocol says. The report also has the counts ``compared`` (sentences that fairseq finished within
        the length limit), ``same`` (identical translations) and ``as_good`` (others whose score is no lower) and, if
        the sentences come from the data, the ``bleu`` of fairseq and CTranslate2.
        """
        import ctranslate2

        runtime = ctranslate2.Translator(folder, device=device, intra_threads=torch.get_num_threads())
        sources, targets = ([getattr(t, side) for t in self.expected] for side in ("source", "target"))
        scored = runtime.score_batch(sources, targets, max_batch_size=ROWS)
        found = runtime.translate_batch(
            sources, beam_size=BEAM, max_decoding_length=self.longest, return_scores=True, max_batch_size=ROWS
        )
        pairs = [pair for pair in zip(self.expected, found, strict=True) if pair[0].finished]
        same = [expected.target == result.hypotheses[0] for expected, result in pairs]
        as_good = [result.scores[0] >= float(expected.log_probs.mean()) - LIMIT for expected, result in pairs]
        return {
            "sentences": len(found),
            "compared": len(pairs),
            "same": sum(same),
            "as_good": sum(good and not alike for alike, good in zip(same, as_good, strict=True)),
            "largest_difference": _largest_difference(self.expected, scored),
            **self._bleu([result.hypotheses[0] for result in found]),
        }

    def disagreement(self, report: dict[str, Any]) -> str:
        """A search that stops later may find better translations, but must find none that score lower."""
        worse = report["compared"] - report["same"] - report["as_good"]
        clauses = [
            log_probabilities_differ(report),
            worse and f"{worse} of {report['compared']} translations are worse",
        ]
        return " and ".join(filter(None, clauses))

    def _bleu(self, found):
        references = [translation.reference for translation in self.expected]
        if None in references:
            return {}
        import sacrebleu

        lines = [list(map(joined, words)) for words in ([t.target for t in self.expected], found, references)]
        scores = (sacrebleu.corpus_bleu(each, lines[2:], tokenize="none", force=True).score for each in lines[:2])
        return {"bleu": list(scores)}


def _largest_difference(expected, scored):
    pairs = zip(expected, scored, strict=True)
    return max(float((torch.tensor(found.log_probs) - own.log_probs).abs().max()) for own, found in pairs)
