"""Building an evaluator from a checkpoint and a folder of data, on the GPU if there is one."""

import math
from collections.abc import Callable
from functools import partial

import torch
from fairseq import utils
from fairseq.models import BaseFairseqModel, FairseqEncoderDecoderModel, FairseqMultiModel
from fairseq.models.nat import FairseqNATModel

from ..checkpoint.load import has_split, load_model, load_split, load_task
from ..engine.columns import lay_out
from ..engine.task_loss import loss_of
from .blocks import Blocks, batch_blocks, column_blocks
from .by_criterion import measure
from .evaluator import Evaluator
from .output import linear_output

_SENTENCES = 64  # a batch
FEW = 16  # batches
Yardstick = Callable[[], dict[str, float]]  # measures a model as it is: dict of name -> float


class Workbench:
    """One checkpoint's task and data, on which it and its descendants are evaluated.

    Args:
        checkpoint: path.
        data: folder of fairseq-preprocess; None: that of the checkpoint.
        reference: divide counts of a stream as the original did, by all rows where one has no target.
        how: layers run, as of :class:`~fairseq_prune.modules.csr.execute.Execution`.
        pruning: take the pruning version of the task, where there is one.

    Attributes:
        task: fairseq's task.

    Raises:
        ValueError: no such data.
    """

    def __init__(
        self, checkpoint: str, data: str | None = None, reference: bool = False, how: str = "dense",
        pruning: bool = False,
    ):  # fmt: skip
        self.task, self._config = load_task(checkpoint, data, pruning)
        self._reference, self._how = reference, how
        self._blocks: dict[str, tuple[Blocks, int | None]] = {}
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def has(self, split: str) -> bool:
        """True if the data have that split."""
        return split in self.task.datasets or has_split(self.task, split)

    @property
    def validation(self) -> str:
        """The split that the training was validated on, or ``"valid"`` where the data have none of its name."""
        own = self._config.dataset.valid_subset.split(",")[0]
        return "valid" if own != "valid" and not self.has(own) and self.has("valid") else own

    def predicts_words(self, model: BaseFairseqModel) -> bool:
        """True if :meth:`evaluator` can walk a model: each word from those before it, by a linear output layer."""
        decoder = _decoder_of(model)
        return decoder is not None and linear_output(decoder) is not None

    def translates(self, model: BaseFairseqModel) -> bool:
        """True if the task translates by a model, from one language to one other."""
        return isinstance(model, FairseqEncoderDecoderModel) and not hasattr(self.task, "lang_pairs")

    def model(self, checkpoint: str) -> BaseFairseqModel:
        """Load a model, in float32 and eval mode.

        Raises:
            ValueError: the data's vocabulary is not that of the checkpoint.
        """
        return load_model(checkpoint, self.task).to(self._device).eval()

    def evaluator(self, model: BaseFairseqModel, split: str) -> Evaluator:
        """An :class:`~.evaluator.Evaluator` of a model on a split.

        Raises:
            ValueError: the model is several, or none that predicts word by word; the split is empty, or shorter than
                its columns.
        """
        if _decoder_of(model) is None:
            raise ValueError(f"{type(model).__name__}: only models that predict word by word can be searched over")
        if split not in self._blocks:
            self._load(split)
            self._blocks[split] = self._divide(model, split)
        blocks, denominator = self._blocks[split]
        return Evaluator(model, blocks, denominator, how=self._how)

    def by_criterion(self, model: BaseFairseqModel, split: str) -> dict[str, float]:
        """What the criterion of the training says of any model, as :func:`~.by_criterion.measure`."""
        self._load(split)
        return measure(model, self._criterion(), self._samples(model, self._dataset(split)))

    def yardstick(self, model: BaseFairseqModel, split: str, count: int | None = None) -> Yardstick:
        """A function that measures a model on the same data each time, while its weights change.

        Args:
            model: as it is; its limits decide which samples can be evaluated.
            split: name.
            count: of batches, taken evenly from all; None: :data:`FEW`, and of a stream all.

        Returns:
            function of no arguments -> dict of name -> float, of what the criterion says of the same batches; of a
            stream, which has a state, ``nll_loss`` and ``accuracy`` (bits, %) of all of it.

        Raises:
            ValueError: the data have no such split, or nothing in it; a part of a stream.
        """
        if not self.has(split):
            other = next((name for name in (self.validation, "train") if name != split), split)
            raise ValueError(f"--split {split}: the data have none such; give e.g. --split {other}")
        dataset = self._dataset(split)
        if hasattr(dataset, "tokens"):
            if count:
                raise ValueError(f"--batches {count}: has no effect here, a stream is read to its end; leave it out")
            return partial(_of_a_stream, self.evaluator(model, split))
        batches = self._batches(model, dataset)
        taken = set(evenly(len(batches), count or FEW))
        samples = [self._moved(sample) for place, sample in enumerate(batches) if place in taken]
        return partial(measure, model, self._criterion(), samples)

    def _criterion(self):
        return loss_of(self.task, self.task.build_criterion(self._config.criterion)).to(self._device).eval()

    def _dataset(self, split):
        """A split's samples, which have targets: fairseq loads sentences without translations, too."""
        dataset = self.task.dataset(split)
        if getattr(dataset, "tgt", dataset) is None:
            data = self._config.task.data
            raise ValueError(f"DATA {data}: {split} has no translations; make it again with fairseq-preprocess")
        return dataset

    def _load(self, split):
        if split not in self.task.datasets:
            load_split(self.task, split)

    def _divide(self, model, split):
        dataset, pad = self._dataset(split), self.task.target_dictionary.pad()
        if hasattr(dataset, "tokens"):
            options = self._config.dataset
            count = options.batch_size_valid or options.batch_size
            columns = lay_out(dataset.tokens, count, pad, self._reference).to(self._device)
            return column_blocks(columns, pad), columns.numel() if self._reference else None
        return batch_blocks(list(self._samples(model, dataset)), pad), None

    def _samples(self, model, dataset):
        return (self._moved(sample) for sample in self._batches(model, dataset))

    def _batches(self, model, dataset):
        batches = self.task.get_batch_iterator(
            dataset,
            max_sentences=_SENTENCES,
            max_positions=utils.resolve_max_positions(self.task.max_positions(), model.max_positions()),
            ignore_invalid_inputs=True,
        )
        return batches.next_epoch_itr(shuffle=False)

    def _moved(self, sample):
        return utils.apply_to_sample(lambda tensor: tensor.to(self._device), sample)


def _decoder_of(model):
    """The decoder that predicts word by word; None: there is none, or one for each pair of languages."""
    return None if isinstance(model, (FairseqMultiModel, FairseqNATModel)) else getattr(model, "decoder", None)


def _of_a_stream(evaluator):
    score = evaluator.measure()
    return {"nll_loss": math.log2(score.perplexity), "accuracy": 100 * score.accuracy}


def evenly(length: int, count: int) -> list[int]:
    """``count`` places in 0..``length`` - 1, as far apart as they can be; all where there are no more.

    Example:
        >>> evenly(10, 3), evenly(2, 5)
        ([1, 5, 8], [0, 1])
    """
    return sorted({int((place + 0.5) * length / count) for place in range(count)})
