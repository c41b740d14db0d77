"""Every workaround for fairseq, torch and numpy, each with its reason; one topic a file.

:func:`install` runs when fairseq imports the user-dir; it is idempotent.
"""

from . import (
    averages,
    beams,
    checkpoints,
    config_strings,
    data_files,
    fitting,
    logs,
    numpy_names,
    options,
    overrides,
    peers,
    precision,
    ranks,
    resuming,
    schedulers,
    shared_tensors,
    stored_configs,
    tasks,
    training_end,
    writing,
)
from .averages import fp32_copies, start_averages_from_weights
from .best_checkpoint import forget_best, forget_best_of, hold_best
from .checkpoints import load_checkpoint
from .options import refuse_references
from .precision import unscaled, will_be_skipped
from .ranks import load_on_every_rank, read_on_every_rank
from .required import require
from .tasks import of_class
from .training_end import at_training_end

__all__ = [
    "forget_best",
    "forget_best_of",
    "fp32_copies",
    "hold_best",
    "install",
    "load_checkpoint",
    "load_on_every_rank",
    "of_class",
    "read_on_every_rank",
    "refuse_references",
    "require",
    "at_training_end",
    "start_averages_from_weights",
    "unscaled",
    "will_be_skipped",
]


READING = (checkpoints, config_strings, data_files, numpy_names)
RESUMING = (precision, schedulers, resuming, fitting)
RUNNING = (averages, beams, ranks, peers, tasks, training_end, options, overrides, shared_tensors, writing)
TOPICS = (logs, stored_configs, *READING, *RESUMING, *RUNNING)


def install() -> None:
    """Apply all process-wide workarounds.

    Raises:
        SystemExit: this is not the fairseq that they were written for.
    """
    require()
    for topic in TOPICS:
        topic.install()
