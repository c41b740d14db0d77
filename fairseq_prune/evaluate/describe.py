"""Describing a checkpoint: by its file, and where that does not say all, by its model."""

from typing import Any

from ..compat import load_checkpoint
from ..deploy.describers import describe_model
from ..errors import errors_of_a_file
from ..report.inspect import inspect_checkpoint
from ..report.layers import describe_layers
from ..report.training import describe_training


def describe_checkpoint(path: str, lengths: tuple[int, int] = (25, 25), legacy: bool = False) -> dict[str, Any]:
    """Count a checkpoint's parameters, zeros, masks and multiply-accumulates.

    Args:
        path: a fairseq checkpoint.
        lengths: source and target tokens of the sentence whose MACs are counted.
        legacy: add the FLOPs of SRP's own formula.

    Returns:
        Plain values, as of :func:`~fairseq_prune.report.inspect.inspect_checkpoint`; of models that are built, such as
        image classifiers, with ``layers``.

    Raises:
        ValueError: the file cannot be read, or holds no model.
    """
    checkpoint = load_checkpoint(path)
    with errors_of_a_file(path, "cannot be described"):
        report = inspect_checkpoint(checkpoint, path, lengths, legacy)
        report = describe_layers(report, describe_model(checkpoint))
        return {**report, "total": report["total"] | describe_training(checkpoint, report["total"])}
