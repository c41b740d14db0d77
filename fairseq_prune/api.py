"""Python's door: prune, look at and cut models without a command line; ``fairseq_prune.load`` and so on."""

import os
from typing import Any

from torch import nn

from .checkpoint.load import load_model, load_task
from .compat import load_checkpoint
from .deploy.compact_checkpoint import compact_checkpoint as compact
from .deploy.prune import prune_model, save_like
from .evaluate.describe import describe_checkpoint as inspect

__all__ = ["compact", "inspect", "load", "prune", "save"]


def load(path: str | os.PathLike, data: str | None = None) -> nn.Module:
    """The model of a checkpoint; what is removed of it stays removed in all that follows.

    Args:
        path: a fairseq checkpoint, pruned or not.
        data: its data, most often a folder; None: that of the training.

    Returns:
        The fairseq model, in fp32, on the CPU.

    Raises:
        ValueError: the file cannot be read, or its data are not there.
    """
    try:
        task, _ = load_task(os.fspath(path), data, pruning=True)
        return load_model(os.fspath(path), task).float()
    except SystemExit as error:  # what fairseq's commands end with
        raise ValueError(str(error)) from None


def prune(model: nn.Module, method: str = "magnitude", seed: int = 1, **options: Any) -> float:
    """Remove weights or whole units of a model at once, in place.

    Args:
        model: any ``nn.Module``.
        method: one that needs no training: magnitude, random, irregular, stripe, patdnn, n:m, l1, given.
        seed: of random choices.
        options: as ``--prune-*`` on the command line, without the prefix: ``target=0.8``, ``units="neuron"``.

    Returns:
        Fraction of the prunable weights (of coupled units: of all weights) that is removed, in [0, 1).

    Raises:
        ValueError: naming the option, the value and a valid example.
    """
    return prune_model(model, {"method": method, **options}, seed)


def save(model: nn.Module, path: str | os.PathLike, like: str | os.PathLike) -> None:
    """Write a model as a checkpoint for fairseq's commands, without optimizer state.

    Args:
        model: from :func:`load`.
        path: the file to write.
        like: checkpoint that it was loaded from; its config is taken.

    Raises:
        ValueError: ``like`` cannot be read, or the file cannot be written.
    """
    save_like(load_checkpoint(like), model, path)
