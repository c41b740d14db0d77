"""fairseq's own results on some sentences, with which an exported model is compared."""

from typing import Any, Protocol

import torch
from fairseq.models import BaseFairseqModel
from fairseq.tasks import FairseqTask

from ...checkpoint.load import has_split
from ..verify import ROWS, samples_of

LIMIT = 1e-3  # largest difference of a token's log-probability, and of the scores of equally good translations
_LENGTHS = range(3, 23)  # tokens of made-up sentences


class Evidence(Protocol):
    """fairseq's results on some sentences, and what is needed to compute them with CTranslate2."""

    def compare(self, folder: str, device: str) -> dict:
        """Run a CTranslate2 model on the same sentences.

        Args:
            folder: folder of the model.
            device: "cpu" or "cuda".

        Returns:
            Report of plain values: ``sentences`` (count), ``largest_difference`` of a token's log-probability
            given the tokens before it in fairseq's results, and more.
        """

    def disagreement(self, report: dict) -> str:
        """A clause that says which difference in a report is more than rounding; empty if none is."""


def require_same(evidence: Evidence, folder: str) -> dict:
    """Refuse a float32 model whose results differ from fairseq's.

    Returns:
        The report of ``evidence.compare``.

    Raises:
        ValueError: the results differ; the message says in what.
    """
    report = evidence.compare(folder, "cpu")
    if differs := evidence.disagreement(report):
        raise ValueError(f"CTranslate2 does not compute the same: {differs}; nothing is written")
    return report


def log_probabilities_differ(report: dict) -> str:
    """The clause for the log-probabilities of a report; empty if they differ by at most :data:`LIMIT`."""
    difference = report["largest_difference"]
    return "" if difference <= LIMIT else f"log-probabilities differ by up to {difference:.1e}"  # also if NaN


def sentences(task: FairseqTask, model: BaseFairseqModel, split: str, batches: int) -> list[dict[str, Any]]:
    """Batches of four sentences from the data, or of random words if there is no such split."""
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
