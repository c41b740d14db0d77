"""What fairseq's own generator makes of sentences: what another runtime is held against."""

from argparse import Namespace
from dataclasses import dataclass
from typing import List, Optional

import torch

BEAM = 5
LONGEST = 200  # tokens of a hypothesis, fairseq-generate's default
_LENGTHS = range(3, 23)  # tokens of sentences that are made up


@dataclass(frozen=True)
class Hypothesis:
    """A translation, without the end of sentence in its tokens.

    Args:
        source: ids of the sentence.
        target: ids of the translation.
        log_probs: of its tokens and of the end, float32 [length + 1].
        reference: ids of the translation in the data, None for sentences that are made up.
    """

    source: List[int]
    target: List[int]
    log_probs: torch.Tensor
    reference: Optional[List[int]] = None

    @property
    def score(self):
        """Mean log-probability, by which beams are ranked."""
        return float(self.log_probs.mean())

    @property
    def finished(self):
        """False where only the limit of length ended it."""
        return len(self.target) < LONGEST


def fairseq_hypotheses(task, model, samples):
    """Translate with fairseq's generator, beam 5, in float32.

    Args:
        task: of the model.
        model: in eval mode.
        samples: batches of a fairseq translation dataset.

    Returns:
        list of :class:`Hypothesis`.
    """
    generator = task.build_generator([model], Namespace(beam=BEAM, max_len_a=0, max_len_b=LONGEST))
    found = []
    for sample in samples:
        best = [beams[0] for beams in task.inference_step(generator, [model], sample)]
        references = sample.get("target", [None] * len(best))
        for source, hypothesis, reference in zip(sample["net_input"]["src_tokens"], best, references, strict=True):
            target = hypothesis["tokens"].tolist()[:-1]
            words = None if reference is None else _words(reference, task.target_dictionary)
            scores = hypothesis["positional_scores"]
            found.append(Hypothesis(_words(source, task.source_dictionary), target, scores, words))
    return found


def _words(row, dictionary):
    return [i for i in row.tolist() if i not in (dictionary.pad(), dictionary.eos())]


def made_up_sentences(dictionary, batches, rows):
    """Batches of random words, where there are no data.

    Args:
        dictionary: of the source.
        batches: count.
        rows: sentences a batch.

    Returns:
        list of batches as a fairseq dataset's, without targets.
    """
    generator, made = torch.Generator().manual_seed(1), []
    for batch in range(batches):
        length = _LENGTHS[batch % len(_LENGTHS)]
        words = torch.randint(dictionary.nspecial, len(dictionary), (rows, length), generator=generator)
        tokens = torch.cat([words, words.new_full((rows, 1), dictionary.eos())], 1)
        lengths = words.new_full((rows,), length + 1)
        made.append({"net_input": {"src_tokens": tokens, "src_lengths": lengths}})
    return made
