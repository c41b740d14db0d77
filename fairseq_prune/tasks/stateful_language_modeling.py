"""Language modelling over an unbroken stream: the state carries over from chunk to chunk. With pruning."""

import inspect
import os
from dataclasses import dataclass, field, fields
from typing import Any

from fairseq import utils
from fairseq.data import data_utils
from fairseq.data.iterators import CountingIterator
from fairseq.tasks import register_task
from fairseq.tasks.language_modeling import LanguageModelingConfig, LanguageModelingTask

from ..engine.carried import Carried
from ..engine.mixin import PruneMixin
from ..engine.options import PruneOptions
from ..errors import one_line_errors
from ..pruning.masks import unpack_mask
from .column_dataset import TokenStream

BREAK_THE_STREAM = """sample_break_mode output_dictionary_size self_target past_target add_bos_token shorten_method
    pad_to_fixed_length pad_to_fixed_bsz""".split()


@dataclass
class StatefulLanguageModelingConfig(LanguageModelingConfig):
    """Options of language modelling; those that would break the stream are refused."""

    tokens_per_sample: int = field(
        default=35, metadata={"help": "rows of a chunk, over which gradients go back; --batch-size is its columns"}
    )
    prune_drop_remainder: bool = field(
        default=False, metadata={"help": "drop the tokens that do not fill all columns, as the reference does"}
    )


class StatefulLanguageModelingTask(LanguageModelingTask):
    """Reads a split as ``--batch-size`` contiguous columns, in order, each chunk from the state the last one left.

    A split begins from zeros. Training, evaluation and a teacher have a state of their own.

    Source: SiPO (Li et al. 2022), which trains and evaluates as PyTorch's word_language_model example.
    """

    def __init__(self, args, dictionary, output_dictionary=None, targets=None):
        super().__init__(args, dictionary, output_dictionary, targets)
        self.carried, self.carried_in_evaluation, self.carried_by_teacher = Carried(), Carried(), Carried()

    @classmethod
    def add_args(cls, parser):
        super().add_args(parser)
        if "--max-epoch" in parser._option_string_actions:  # fairseq-train asserts that it is there; we explain
            parser.set_defaults(batch_size=0)

    @classmethod
    def setup_task(cls, cfg, **kwargs):
        with one_line_errors():
            _check_options(cfg)
        return super().setup_task(cfg, **kwargs)

    def build_model(self, args, from_checkpoint=False):
        model = super().build_model(args, from_checkpoint)
        if "carried" not in inspect.signature(model.decoder.forward).parameters:
            name = getattr(args, "arch", None) or getattr(args, "_name", type(model).__name__)
            raise SystemExit(f"--arch {name}: its decoder carries no state; give e.g. --arch rnn_lm")
        return model

    def load_dataset(self, split, epoch=1, combine=False, **kwargs):
        """Read a split into memory.

        Raises:
            FileNotFoundError: it is not there.
        """
        paths = utils.split_paths(self.args.data)
        path = os.path.join(paths[(epoch - 1) % len(paths)], split)
        try:
            lines = data_utils.load_indexed_dataset(path, self.dictionary, self.args.dataset_impl, combine=combine)
        except ValueError:  # no memory map of an empty file
            raise SystemExit(f"DATA {path}: an empty split; give fairseq-preprocess at least 2 words") from None
        if lines is None:
            raise FileNotFoundError(f"Dataset not found: {split} ({path})")
        self.datasets[split] = TokenStream(lines)

    def get_batch_iterator(self, dataset, max_sentences=None, num_shards=1, **kwargs):
        """As fairseq's; a split comes in ``max_sentences`` columns, chunk by chunk, never shuffled."""
        if not isinstance(dataset, TokenStream):  # what fairseq-interactive was given
            return super().get_batch_iterator(dataset, max_sentences=max_sentences, num_shards=num_shards, **kwargs)
        with one_line_errors():
            columns = self._in_columns(dataset, max_sentences, num_shards)
        for limit in ("max_tokens", "max_positions"):
            kwargs.pop(limit, None)
        batches = super().get_batch_iterator(columns, **kwargs)
        batches.disable_shuffling, batches.shuffle = True, False
        return batches

    def _in_columns(self, stream, count, ranks):
        if ranks > 1:
            raise ValueError(
                f"--distributed-world-size {ranks}: a stream's state cannot be split; give --distributed-world-size 1"
            )
        if not count:
            raise ValueError("--batch-size is missing: the columns that are read side by side, e.g. --batch-size 20")
        try:
            return stream.in_columns(
                count, self.args.tokens_per_sample, self.dictionary.pad(), self.args.prune_drop_remainder
            )
        except ValueError as error:
            raise ValueError(f"--batch-size {count} (or --batch-size-valid): {error}") from None

    def train_step(self, sample, *args, **kwargs):
        return self._step(super().train_step, self.carried, sample, *args, **kwargs)

    def valid_step(self, sample, *args, **kwargs):
        return self._step(super().valid_step, self.carried_in_evaluation, sample, *args, **kwargs)

    def _step(self, step, carried, sample, *args, **kwargs):
        result = step(_carrying(sample, carried), *args, **kwargs)
        if sample["ends"]:
            carried.state = None
        return result

    def eval_lm_dataloader(self, dataset, *args, context_window=0, **kwargs):
        """As fairseq's; ``fairseq-eval-lm`` calls models without a task, so the state is in its samples."""
        if context_window:
            raise SystemExit(f"--context-window {context_window}: the state carries all of the context; leave it out")
        batches = super().eval_lm_dataloader(dataset, *args, **kwargs)
        samples = (_carrying(sample, self.carried_in_evaluation) for sample in batches)
        return CountingIterator(samples, start=0, total=len(batches))

    def layout(self) -> dict[str, Any]:
        """What a state only makes sense with, dict of option -> value."""
        options = self.args
        return {
            "--batch-size": options.batch_size,
            "--tokens-per-sample": options.tokens_per_sample,
            "--prune-drop-remainder": options.prune_drop_remainder,
        }


def _carrying(sample, carried):
    """The sample with a state for the decoder to start from, zeros where the stream begins."""
    if sample["begins"]:
        carried.state = None
    return {**sample, "net_input": {**sample["net_input"], "carried": carried}}


def _check_options(args):
    """Refuse what makes no chunks, or breaks the stream.

    Raises:
        ValueError: naming the option.
    """
    if args.tokens_per_sample < 1:
        value = args.tokens_per_sample
        raise ValueError(f"--tokens-per-sample {value}: the rows of a chunk; give e.g. --tokens-per-sample 35")
    defaults = {f.name: f.default for f in fields(LanguageModelingConfig)}
    for name in BREAK_THE_STREAM:
        if str(getattr(args, name)) != str(defaults[name]):
            option = f"--{name.replace('_', '-')}"
            raise ValueError(
                f"{option} {getattr(args, name)}: would break the stream that the state runs through; leave it out"
            )


@dataclass
class PruneStatefulLanguageModelingConfig(PruneOptions, StatefulLanguageModelingConfig):
    """Options of the stream, and of masks."""


@register_task("prune_stateful_language_modeling", dataclass=PruneStatefulLanguageModelingConfig)
class PruneStatefulLanguageModelingTask(PruneMixin, StatefulLanguageModelingTask):
    """Stateful language modelling with pruning; the training's states are saved with the pruner's."""

    def instead_for_teacher(self, named):
        return {**named, "carried": self.carried_by_teacher}

    def train_step(self, sample, *args, **kwargs):
        if sample["begins"]:
            self.carried_by_teacher.state = None
        return super().train_step(sample, *args, **kwargs)

    def before_update(self, optimizer):
        super().before_update(optimizer)
        kept = self.pruner.removal.kept.items()
        self.carried.follow_cut([unpack_mask(units) for vector, units in kept if ".lstm." in vector])

    def get_checkpoint_dict(self):
        own = super().get_checkpoint_dict()
        states = {"state": self.carried, "teacher": self.carried_by_teacher}
        ends = {name: carried.state and [part.cpu() for part in carried.state] for name, carried in states.items()}
        stream = {**ends, "layout": self.layout()}
        return {name: {**pruner, "stream": stream} for name, pruner in own.items()}

    def set_checkpoint_dict(self, state):
        super().set_checkpoint_dict(state)
        stream = state["stream"]
        if stream["state"] is not None:
            for option, value in self.layout().items():
                if stream["layout"][option] != value:
                    raise SystemExit(
                        f"{option} {value}: the run was interrupted within an epoch with {stream['layout'][option]}; "
                        "resume with the same, or begin a new epoch with --reset-dataloader"
                    )
            self.carried.state = tuple(stream["state"])
            self.carried_by_teacher.state = stream.get("teacher") and tuple(stream["teacher"])  # no earlier file's
