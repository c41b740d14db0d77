"""The table of formats that a checkpoint can be exported to."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ...files.folder import require_writable
from ...pruning.registry import Registry

EXPORTERS: Registry[Callable[["Job"], dict[str, Any]]] = Registry("value of --to")  # -> report of plain values
Stamp = tuple[int, int, int]


@dataclass(frozen=True)
class Job:
    """What to export, and how.

    Args:
        checkpoint: path of the file to read.
        out: path to write: a file or a folder, depending on the target.
        data: the DATA argument; None: that of the checkpoint.
        batches: number of batches, of four sentences or images each, to compare on.
        overwrite: replace OUT if it exists.
        quantization: for CTranslate2, its name of a type; None: float32.
        codes: for CTranslate2, path of BPE codes to copy next to the model; None: those of the data, if there are any.
    """

    checkpoint: str
    out: str
    data: str | None = None
    batches: int = 25
    overwrite: bool = False
    quantization: str | None = None
    codes: str | None = None

    def __post_init__(self):
        if self.batches < 1:
            raise ValueError(f"--batches {self.batches}: give at least 1, e.g. --batches 25")
        if os.path.realpath(self.out) == os.path.realpath(self.checkpoint):
            raise ValueError(f"OUT {self.out}: is CHECKPOINT itself; give another name, e.g. exported")
        if os.path.lexists(self.out) and not self.overwrite:
            raise ValueError(f"OUT {self.out}: exists; give another name or --overwrite")
        require_writable(os.path.dirname(self.out) or os.curdir)

    def stamp(self) -> Stamp:
        """The identity of the file CHECKPOINT, which changes when the file is written again."""
        found = os.stat(self.checkpoint)
        return found.st_ino, found.st_size, found.st_mtime_ns

    def require_unchanged(self, stamp: Stamp) -> None:
        """Refuse to continue if CHECKPOINT is no longer the file that had this :meth:`stamp`."""
        if self.stamp() != stamp:
            raise ValueError(f"checkpoint {self.checkpoint}: changed while it was exported; let its training finish")


def export(target: str, job: Job) -> dict[str, Any]:
    """Write a checkpoint in the format of a target, if it computes the same there.

    Args:
        target: name in :data:`EXPORTERS`.
        job: what to export.

    Returns:
        dict of plain values: what was written, and how it compares.

    Raises:
        ValueError: there is no such target, or it refuses the checkpoint or an option.
    """
    from . import to_ctranslate2, to_fairseq, to_onnx  # noqa: F401  (they register)

    return EXPORTERS[target](job)
