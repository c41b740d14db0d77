"""Which file a training starts from: one rule, the same as in fairseq's ``load_checkpoint`` and in SRP."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..files.folder import require_elsewhere

if TYPE_CHECKING:
    from argparse import Namespace

    from omegaconf import DictConfig

LAST = "checkpoint_last.pt"
RESTORED, CONTINUED, FINETUNED, PRETRAINED = (
    "--restore-file", "--continue-once", "--finetune-from-model", "--pretrained-model"
)  # fmt: skip


@dataclass(frozen=True)
class Start:
    """What a training starts from.

    Args:
        path: path of the file, which may not exist; None: new weights.
        option: the option that names it; None if none does, as for the run's own last checkpoint.
        counts_on: True if the counts of epochs and updates continue those of another run.
        first: the file that the options name for the first launch, if the run resumes its own last checkpoint.
    """

    path: str | None = None
    option: str | None = None
    counts_on: bool = False
    first: str | None = None

    @property
    def origin(self) -> str | None:
        """The file that the run began with, as its options name it; None: new weights, or a file that it overwrites."""
        return self.path if self.option else self.first

    @property
    def resumes(self) -> bool:
        """True if the run continues from a checkpoint with its optimizer and its place in the data."""
        return self.path is not None and self.option not in (FINETUNED, PRETRAINED)

    @property
    def is_there(self) -> bool:
        """True if the file exists."""
        return self.path is not None and _is_file(self.path)

    def require_elsewhere(self, folder: str) -> None:
        """Refuse starting weights in the run's own folder under a name that fairseq will save to.

        Args:
            folder: ``--save-dir``.

        Raises:
            ValueError: they are there; the message names both options.
        """
        if self.path is not None and self.option in (FINETUNED, PRETRAINED):
            require_elsewhere(folder, self.option, self.path, r"checkpoint(_best|\d+|_\d+_\d+)\.pt")

    def check(self) -> None:
        """Refuse an option's file that does not exist.

        Raises:
            ValueError: it does not exist; the message names the option, the value and a valid example.
        """
        if self.option and not self.is_there:
            raise ValueError(
                f"{self.option} {self.path}: no such file; give one that is, e.g. SAVE_DIR/checkpoint_best.pt"
            )


def find_start(cfg: DictConfig | Namespace, pretrained: str | None = None) -> Start:
    """Decide what a training starts from.

    A given ``--restore-file`` comes first, then the last checkpoint in the folder. If there is none, this is the
    first launch, and ``--continue-once``, ``--finetune-from-model`` and ``--pretrained-model`` apply.
    ``--checkpoint-suffix`` is part of the names of the first two.

    Args:
        cfg: the ``checkpoint`` group of the full config.
        pretrained: SRP's --pretrained-model.

    Raises:
        ValueError: two options name the weights.
    """
    named, weights = cfg.restore_file != LAST, {FINETUNED: cfg.finetune_from_model, PRETRAINED: pretrained}
    _check_one_is_given({RESTORED: named, FINETUNED: cfg.finetune_from_model})
    _check_one_is_given({PRETRAINED: pretrained, FINETUNED: cfg.finetune_from_model})
    file = cfg.restore_file.replace(".pt", f"{cfg.checkpoint_suffix or ''}.pt")
    if named:
        return Start(file, RESTORED, counts_on=True)
    first = next((Start(path, option) for option, path in weights.items() if path), Start())
    if cfg.continue_once is not None:
        first = Start(cfg.continue_once, CONTINUED, counts_on=True)
    if _is_file(last := os.path.join(cfg.save_dir, file)):
        return Start(last, counts_on=first.counts_on, first=first.path)
    return first


def _check_one_is_given(options):
    if all(options.values()):
        raise ValueError(f"{' and '.join(options)}: both name the weights to start from; give one")


def _is_file(path):
    from fairseq.file_io import PathManager

    return PathManager.isfile(path)
