"""The Python interface: load, inspect, prune and cut models in Python; ``fairseq_prune.load`` and so on."""

import os
from typing import Any

from torch import nn

from .checkpoint.load import load_model, load_task
from .compat import load_checkpoint
from .deploy.compact_checkpoint import compact_checkpoint
from .deploy.prune import prune_model, save_like
from .evaluate.describe import describe_checkpoint

__all__ = ["compact", "inspect", "load", "prune", "save"]
Path = str | os.PathLike


def load(path: Path, data: str | None = None) -> nn.Module:
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


def save(model: nn.Module, path: Path, like: Path) -> None:
    """Write a model as a checkpoint for fairseq's commands, without optimizer state.

    Args:
        model: from :func:`load`.
        path: the file to write.
        like: checkpoint that it was loaded from; its config is taken.

    Raises:
        ValueError: ``like`` cannot be read, or the file cannot be written.
    """
    save_like(load_checkpoint(os.fspath(like)), model, os.fspath(path))


def inspect(path: Path, lengths: tuple[int, int] = (25, 25)) -> dict[str, Any]:
    """Count a checkpoint's parameters, zeros, masks and multiply-accumulates.

    Args:
        path: a fairseq checkpoint.
        lengths: source and target tokens of the sentence whose MACs are counted.

    Returns:
        Plain values, as ``fairseq-prune inspect --json`` prints.

    Raises:
        ValueError: the file cannot be read, or holds no model.
    """
    return describe_checkpoint(os.fspath(path), lengths)


def compact(path: Path, out: Path, data: str | None = None, batches: int = 4) -> dict[str, Any]:
    """Cut out of a checkpoint what computes nothing, check the outputs, and write another checkpoint.

    Args:
        path: a fairseq checkpoint.
        out: the file to write.
        data: its data; None: that of the training.
        batches: of 4 sentences or images to compare (count).

    Returns:
        Plain values, as ``fairseq-prune compact --json`` prints.

    Raises:
        ValueError: there is nothing to cut, the outputs differ, or a file cannot be read.
    """
    return compact_checkpoint(os.fspath(path), os.fspath(out), data, batches)
