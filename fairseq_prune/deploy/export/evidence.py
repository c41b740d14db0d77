"""fairseq's own results for some sentences, with which an exported model is compared."""

from typing import Any, Protocol

import torch
from fairseq.models import BaseFairseqModel
from fairseq.tasks import FairseqTask

from ...checkpoint.load import has_split
from ..verify import ROWS, samples_of

LIMIT = 1e-3  # difference of a token's log-probability, and of the scores of two translations that are equally good
_LENGTHS = range(3, 23)  # tokens of sentences that are made up


class Evidence(Protocol):
    """fairseq's results on some sentences, with what is needed to ask CTranslate2 for its own."""

    def compare(self, folder: str, device: str) -> dict:
        """Run a model of CTranslate2 on the same sentences.

        Args:
            folder: of the model.
            device: "cpu" or "cuda".

        Returns:
            Report of plain values: ``sentences`` (count), ``largest_difference`` of a token's log-probability,
            given what precedes it in fairseq's results, and more.
        """

    def disagreement(self, report: dict) -> str:
        """A clause that says what in a report is more than rounding; empty: nothing is."""


def require_same(evidence: Evidence, folder: str) -> dict:
    """Refuse a float32 model that computes something else than fairseq's.

    Returns:
        The report of ``evidence.compare``.

    Raises:
        ValueError: saying what differs.
    """
    report = evidence.compare(folder, "cpu")
    if differs := evidence.disagreement(report):
        raise ValueError(f"CTranslate2 does not compute the same: {differs}; nothing is written")
    return report


def log_probabilities_differ(report: dict) -> str:
    """The clause for the log-probabilities of a report; empty where they are within :data:`LIMIT`."""
    difference = report["largest_difference"]
    return "" if difference <= LIMIT else f"log-probabilities differ by up to {difference:.1e}"  # so for NaN, too


def sentences(task: FairseqTask, model: BaseFairseqModel, split: str, batches: int) -> list[dict[str, Any]]:
    """Batches of four sentences of the data; of random words, where there is no such split."""
    found = samples_of(task, split, model, batches) if has_split(task, split) else []
    return found or _made_up(task.source_dictionary, batches)


def _made_up(dictionary, batches):
    generator, made = torch.Generator().manual_seed(1), []
    for batch in range(batches):
        length = _LENGTHS[batch % len(_LENGTHS)]
        words = torch.randint(dictionary.nspecial, len(dictionary), (ROWS, length), generator=generator)
        tokens = torch.cat([words, words.new_full((ROWS, 1), dictionary.eos())], 1)
        lengths = words.new_full((ROWS,), length + 1)
        made.append({"net_input": {"src_tokens": tokens, "src_lengths": lengths}})
    return made
