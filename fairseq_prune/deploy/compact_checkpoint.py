"""Cutting the checkpoint of a pruned model, checked on real batches before the smaller file is written."""

from typing import Any

from ..checkpoint.config import Config
from ..checkpoint.write import write_checked
from ..compat import load_checkpoint
from ..errors import errors_of_a_file
from ..report.inspect import inspect_checkpoint
from .compactors import compactor_of
from .describers import describe_model
from .verify import require_same

LENGTHS = 25, 25  # source and target tokens of the sentence whose MACs are counted, as in inspect


def compact_checkpoint(path: str, out: str, data: str | None = None, batches: int = 4) -> dict[str, Any]:
    """Cut out of a checkpoint's model what computes nothing, and write another checkpoint.

    Args:
        path: checkpoint of fairseq-train.
        out: the file to write.
        data: folder of the data to compare outputs on; None: that of the training.
        batches: of 4 sentences or images to compare (count).

    Returns:
        Plain values: ``before`` and ``after`` (each ``params``, ``macs``, ``bytes``), ``removed`` (units cut
        by kind), ``arch``, ``task``, ``difference`` (largest of the outputs, as a
        fraction of the largest output), ``batches``.

    Raises:
        ValueError: the file cannot be read or has nothing to cut, there is no data, or the outputs differ.
    """
    original = load_checkpoint(path)
    with errors_of_a_file(path, "cannot be cut"):
        compactor = compactor_of(original)
        cut, removed = compactor.compact(original)
        config = Config(cut)
    difference, compared = write_checked(cut, out, lambda written: require_same(path, written, batches, data))
    return {
        "before": _size(original, path),
        "after": _size(cut, out),
        "removed": {kind: removed.get(kind, 0) for kind in compactor.kinds},
        "arch": config.arch,
        "task": config.task,
        "difference": difference,
        "batches": compared,
    }


def _size(checkpoint: dict, path: str) -> dict[str, int | None]:
    total = inspect_checkpoint(checkpoint, path, LENGTHS)["total"] | describe_model(checkpoint).get("total", {})
    return {key: total[key] for key in ("params", "macs", "bytes")}
