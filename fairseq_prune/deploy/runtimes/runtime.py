"""The table of runtimes, and their interface."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from fairseq.tasks import FairseqTask

from ...pruning.registry import Registry

Sample = dict[str, Any]  # a batch of a fairseq dataset
Run = Callable[[Sample, int], list[Any]]  # batch, beam -> outputs as a Work expects: one per sentence, row or image


@dataclass(frozen=True)
class Subject:
    """What to run.

    Args:
        path: path of the checkpoint.
        kind: kind of its model, a name in :data:`~.work.WORKS`.
        removed: fraction of its matrices that is zero, without embeddings, whose padding row is zero if dense, too.
        data: the DATA argument; None: that of the checkpoint.
        device: "cpu" or "cuda".
    """

    path: str
    kind: str
    removed: float = 0.0
    data: str | None = None
    device: str = "cpu"


class Runtime(Protocol):
    """A way to run checkpoints."""

    def why_not(self, subject: Subject, beam: int) -> str | None:
        """Why it cannot run a checkpoint, as far as is known without trying; None if there is no known reason."""

    def prepare(self, subject: Subject, folder: str) -> str:
        """Write what :meth:`load` needs into a folder.

        Returns:
            path of the file or folder; that of the checkpoint if nothing has to be written.

        Raises:
            ValueError: it cannot run the checkpoint.
        """

    def load(self, path: str, subject: Subject, task: FairseqTask) -> Run:
        """Make the function that runs batches; called in a separate process.

        Args:
            path: what :meth:`prepare` returned.
            subject: what to run.
            task: the fairseq task of the checkpoint.
        """

    def leaves_out(self) -> bool:
        """True if it skips products with removed weights."""


RUNTIMES: Registry[Runtime] = Registry("value of --runtimes")


def load_runtimes() -> Registry[Runtime]:
    """The table, with all runtimes registered."""
    from . import in_ctranslate2, in_onnx, in_torch  # noqa: F401  (they register)

    return RUNTIMES
