"""Whether a training reaches the point that later ones go back to."""

from collections.abc import Sequence
from types import SimpleNamespace

from fairseq.trainer import Trainer

from ...engine.reachable import RunLength
from ...errors import errors_of_a_file
from ...pruning.times import When
from ..training import parse_words
from .start import build


def check_by_options(rewind: When, words: Sequence[str]) -> None:
    """Refuse trainings without an end, and to rewind to where the options say that they are over.

    Args:
        rewind: the point.
        words: options of fairseq-train.

    Raises:
        ValueError: naming the option and a value that would do.
    """
    options = parse_words("data", words)
    if not (options.max_epoch or options.max_update):
        raise ValueError("--max-epoch: trainings need an end; add e.g. --train --max-epoch 80")
    _check(rewind, RunLength(options.max_epoch, options.max_update))


def check_by_data(rewind: When, data: str, words: Sequence[str]) -> None:
    """Refuse to rewind to where only the length of an epoch says that trainings are over, by a limit in the other unit.

    Args:
        rewind: the point.
        data: the DATA argument; only where there is such a limit, the training set is read.
        words: options of fairseq-train.

    Raises:
        ValueError: naming the option and a value that would do; or there are no batches.
    """
    options = parse_words(data, words)
    if rewind.count and {"ep": options.max_update, "up": options.max_epoch}[rewind.unit]:
        _check(rewind, _measured(data, words))


def _check(rewind, run):
    limit, reason = run.limit(rewind.unit)
    if limit and rewind.count >= limit:
        raise ValueError(
            f"--rewind {rewind}: is not before the end of a training ({reason}); "
            f"give e.g. --rewind {limit // 10}{rewind.unit}"
        )


def _measured(data, words):
    """How long a training is, by the batches that fairseq-train makes of its data."""
    config, task, model = build(data, words)
    limits = config.optimization.max_epoch, config.optimization.max_update
    if task.has_sharded_data("train"):  # each epoch may have its own length
        return RunLength(*limits)
    ranks = config.distributed_training.distributed_world_size
    trainer = SimpleNamespace(
        cfg=config, task=task, model=model, tpu=False, reset_dummy_batch=lambda batch: None,
        data_parallel_world_size=ranks, data_parallel_rank=0,
    )  # fmt: skip
    with errors_of_a_file(data, "fairseq-train makes no batches of it"):
        batches = Trainer.get_train_iterator(trainer, epoch=1)
    return RunLength(*limits, len(batches), config.optimization.update_freq, config.optimization.skip_remainder_batch)
