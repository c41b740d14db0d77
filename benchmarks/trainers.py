"""fairseq trainers as fairseq-train builds them, for benchmarks that take turns in one process."""

import statistics
import sys

import torch
from fairseq import options, tasks
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from fairseq.trainer import Trainer

WARM_UP = 3  # steps; the first builds the optimizer


def make_trainer(words):
    """A trainer, for the command line of fairseq-train (list of str)."""
    sys.argv = ["fairseq-train", *words]  # fairseq looks there for --user-dir
    cfg = convert_namespace_to_omegaconf(options.parse_args_and_arch(options.get_training_parser(), words))
    task = tasks.setup_task(cfg.task)
    torch.manual_seed(1)
    return Trainer(cfg, task, task.build_model(cfg.model), task.build_criterion(cfg.criterion))


def build_trainer(words):
    """A trainer and the batches of its first epoch.

    Args:
        words: as :func:`make_trainer`.

    Returns:
        ``(trainer, batches)``; batches is a list of samples.
    """
    trainer = make_trainer(words)
    return trainer, list(trainer.get_train_iterator(1).next_epoch_itr(shuffle=False))


def step_times(built, rounds, device):
    """Seconds of training steps, taken in turns.

    Args:
        built: dict of name -> ``(trainer, batches)``.
        rounds: steps of each (count).
        device: :class:`~devices.Device` that the trainers are on.

    Returns:
        dict of name -> list of ``rounds`` floats; those at one place were taken in one turn.
    """
    times = {name: [] for name in built}
    cycle = max(WARM_UP, rounds)
    warm_up = WARM_UP if device.torch.type == "cpu" else cycle  # a GPU loads its kernels when it meets a shape
    for step in range(rounds + warm_up):
        for name, (trainer, batches) in built.items():
            batch = batches[step % cycle % len(batches)]
            taken, _ = device.seconds(lambda mine=trainer, batch=batch: mine.train_step([batch]))
            if step >= warm_up:
                times[name].append(taken)
    return times


def median_ratio(above, below):
    """Median over turns of the ratio of two lists of seconds (float)."""
    return statistics.median(a / b for a, b in zip(above, below, strict=True))
