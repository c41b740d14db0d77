"""The workloads of a benchmark: their batches, outputs and quality, for sentences, text and images."""

import math
from collections.abc import Sequence
from typing import Any, Protocol

import torch
from fairseq import utils
from fairseq.dataclass.configs import GenerationConfig
from fairseq.models import BaseFairseqModel, FairseqMultiModel
from fairseq.tasks import FairseqTask

from ..export.translations import LONGEST
from .runtime import Run, Sample

BPE = "subword_nmt"


class Work(Protocol):
    """One kind of work."""

    unit: str

    def units(self, sample: Sample) -> int:
        """Units of work in a batch (count)."""

    def by_fairseq(self, model: BaseFairseqModel, task: FairseqTask) -> Run:
        """A function that runs a batch with fairseq's model."""

    def quality(self, task: FairseqTask, samples: Sequence[Sample], outputs: Sequence[list[Any]]) -> dict[str, float]:
        """The quality of the outputs: dict of one measure; {} if the data have nothing to compare with."""


class Translating:
    """Outputs are translations: str, BPE removed."""

    unit = "sentences"

    def units(self, sample: Sample) -> int:
        """Sentences."""
        return len(sample["net_input"]["src_tokens"])

    def by_fairseq(self, model: BaseFairseqModel, task: FairseqTask) -> Run:
        """As fairseq-generate does it."""
        generators: dict[int, Any] = {}

        def run(sample, beam):
            if beam not in generators:
                generators[beam] = task.build_generator([model], GenerationConfig(beam=beam, max_len_b=LONGEST))
            found = task.inference_step(generators[beam], [model], sample)
            return [task.target_dictionary.string(best[0]["tokens"], BPE) for best in found]

        return run

    def quality(self, task: FairseqTask, samples: Sequence[Sample], outputs: Sequence[list[Any]]) -> dict[str, float]:
        """BLEU over whitespace tokens."""
        import sacrebleu

        if any(sample.get("target") is None for sample in samples):
            return {}
        rows = [row for sample in samples for row in sample["target"]]
        references = [
            task.target_dictionary.string(utils.strip_pad(row, task.target_dictionary.pad()), BPE, escape_unk=True)
            for row in rows
        ]
        hypotheses = [text for output in outputs for text in output]
        return {"bleu": sacrebleu.corpus_bleu(hypotheses, [references], tokenize="none", force=True).score}


class Reading:
    """Outputs are log-probabilities (nats), one number for each row."""

    unit = "tokens"

    def units(self, sample: Sample) -> int:
        """Tokens that are predicted."""
        return int(sample["ntokens"])

    def by_fairseq(self, model: BaseFairseqModel, task: FairseqTask) -> Run:
        """Each row is scored on its own, without context from other rows."""
        pad = task.target_dictionary.pad()

        def run(sample, beam):
            scores = model.get_normalized_probs(model(**sample["net_input"]), log_probs=True)
            return row_scores(scores, sample["target"], pad)

        return run

    def quality(self, task: FairseqTask, samples: Sequence[Sample], outputs: Sequence[list[Any]]) -> dict[str, float]:
        """Perplexity of the rows."""
        total = sum(score for output in outputs for score in output)
        return {"perplexity": math.exp(min(-total / sum(map(self.units, samples)), 100))}


class Seeing:
    """Outputs are classes (int)."""

    unit = "images"

    def units(self, sample: Sample) -> int:
        """Images."""
        return len(sample["target"])

    def by_fairseq(self, model: BaseFairseqModel, task: FairseqTask) -> Run:
        """The class with the highest score."""
        return lambda sample, beam: model(**sample["net_input"]).argmax(1).tolist()

    def quality(self, task: FairseqTask, samples: Sequence[Sample], outputs: Sequence[list[Any]]) -> dict[str, float]:
        """Accuracy in %."""
        found = torch.tensor([label for output in outputs for label in output])
        true = torch.cat([sample["target"] for sample in samples]).cpu()
        return {"accuracy": 100 * float((found == true).float().mean())}


WORKS: dict[str, Work] = {"translation": Translating(), "language model": Reading(), "image classifier": Seeing()}


def row_scores(log_probs: torch.Tensor, targets: torch.Tensor, pad: int) -> list[float]:
    """Sum of the targets' log-probabilities, for each row.

    Args:
        log_probs: float [rows, length, vocabulary].
        targets: int64 [rows, length].
        pad: id of padding, which is ignored.
    """
    own = log_probs.float().gather(2, targets.unsqueeze(2))[:, :, 0].masked_fill(targets == pad, 0.0)
    return own.double().sum(1).tolist()


def kind_of(model: BaseFairseqModel, task: FairseqTask, split: str) -> str:
    """Name of a model's work in :data:`WORKS`, from the model and, if it has no decoder, from a sample of a split.

    Raises:
        ValueError: the model has none.
    """
    several = isinstance(model, FairseqMultiModel)  # one model for each pair of languages
    if hasattr(model, "decoder") and not several:
        return "translation" if hasattr(model, "encoder") else "language model"
    inputs = [] if several else batches_of(task, split, 1, 1)[0]["net_input"].values()
    if inputs and all(torch.is_tensor(value) and value.is_floating_point() for value in inputs):
        return "image classifier"
    raise ValueError(f"{type(model).__name__}: bench runs translation, language models and image classifiers")


def batches_of(task: FairseqTask, split: str, count: int, size: int) -> list[Sample]:
    """Batches of sentences, rows or images drawn from a split, sorted by length; the same ones for any batch size.

    Args:
        task: with the split loaded.
        split: name of the split.
        count: number of sentences, rows or images, at most.
        size: batch size (count).
    """
    dataset = task.dataset(split)
    if hasattr(dataset, "in_columns"):  # a stream: a batch is its rows side by side
        columns = dataset.in_columns(size, task.args.tokens_per_sample, task.dictionary.pad(), False)
        return [columns[index] for index in range(min(len(columns), -(-count // size)))]
    order = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(1))[:count].tolist()
    order = sorted(order, key=lambda index: (dataset.num_tokens(index), index))
    return [dataset.collater([dataset[index] for index in order[at : at + size]]) for at in range(0, len(order), size)]
