"""The rounds of a run of IMP: train, prune, rewind, train again."""

import contextlib
import glob
import os
import re
from typing import Any

from ...checkpoint.load import load_model, load_task
from ...checkpoint.tensors import find_ties
from ...compat import forget_best_of, load_checkpoint
from ...engine.targets import Targets
from ...evaluate.quality import inspect_quality
from ...files.records import Records
from ...pruning.masks import stored_masks
from ...pruning.selecting import count_removed
from ..checkpoints import copy_checked, write_pruned
from ..identity import file_checksum
from ..training import train
from .reach import check_by_data
from .settings import ImpSettings, fractions
from .start import write_start


class ImpRun:
    """One run in a folder; started again, it continues from what the folder holds.

    Args:
        data: the DATA argument.
        folder: of all results.
        settings: :class:`~.settings.ImpSettings`.

    Raises:
        ValueError: the folder holds another run, or the first training is over before the point to rewind to.
    """

    def __init__(self, data: str, folder: str, settings: ImpSettings):
        self._data, self._folder, self._settings = data, folder, settings
        checkpoint = settings.checkpoint and file_checksum(settings.checkpoint)
        header = {
            "data": os.path.realpath(data) if os.path.exists(data) else data, "target": settings.target,
            "fraction": settings.fraction, "rewind": str(settings.rewind), "checkpoint": checkpoint,
            "selecting": settings.selecting, "train": list(settings.train),
        }  # fmt: skip
        if not self._saved():
            check_by_data(settings.rewind, data, settings.train)
        self._forget_failed()
        self._records = Records(self.path("rounds.jsonl"), header, key=("round",))

    def path(self, name: str) -> str:
        """A file of the run."""
        return os.path.join(self._folder, name)

    def last(self, number: int) -> str:
        """Path of the checkpoint at the end of a round's training."""
        return self.path(f"round-{number}/checkpoint_last.pt")

    def _forget_failed(self):
        """A first training that failed before it saved anything may be begun again with other options."""
        records = self.path("rounds.jsonl")
        if os.path.exists(records) and not self._saved():
            with open(records, "rb") as file:
                lines = len(file.readlines())
            for path in (records, self.path("start.pt")) if lines < 2 else ():
                with contextlib.suppress(FileNotFoundError):
                    os.remove(path)

    def _saved(self):
        """Checkpoints of the first training."""
        return glob.glob(glob.escape(self.path("round-0")) + "/checkpoint*.pt")

    def run(self) -> list[dict[str, Any]]:
        """All rounds.

        Returns:
            list of dict of plain values, one a round: ``round``, ``removed`` (fraction of the prunable weights),
            ``pruned`` and ``prunable`` (counts), ``checkpoint``, and under ``quality`` what
            :func:`~fairseq_prune.evaluate.quality.inspect_quality` returns of it.
        """
        records = []
        for number, fraction in enumerate(fractions(self._settings.target, self._settings.fraction)):
            record = self._records.get(number)
            if record is None:
                record = self._round(number, fraction)
                self._records.add(record)
            records.append(record)
        load_checkpoint(self.last(len(records) - 1))  # the result; of a run that was over before, too
        return records

    def _round(self, number, fraction):
        words = self._first_words() if not number else self._begin(number, fraction)
        train(self._data, self.path(f"round-{number}"), ["--prune-method", "none", *words, *self._settings.train])
        if not number:
            self._keep_point()
        state = load_checkpoint(self.last(number))
        targets, masks = self._targets(self.last(number), fraction), stored_masks(state["model"])
        pruned, prunable = count_removed(targets.prunables, masks)
        return {
            "round": number, "removed": pruned / prunable, "pruned": pruned, "prunable": prunable,
            "checkpoint": self.last(number), "quality": inspect_quality(self.last(number), state, self._data),
        }  # fmt: skip

    def _first_words(self):
        """Options of the first training, which saves the point to rewind to."""
        rewind, start = self._settings.rewind, self._settings.checkpoint
        if not rewind.count:
            start = self.path("start.pt")
            if not os.path.exists(start):
                self._write_start(start)
        from_start = ["--finetune-from-model", start] if start else []
        if not rewind.count:
            return [*from_start, "--no-epoch-checkpoints"]
        return from_start + (["--save-interval-updates", rewind.count] if rewind.unit == "up" else [])

    def _write_start(self, path):
        if self._settings.checkpoint:
            copy_checked(self._settings.checkpoint, path)
        else:
            write_start(self._data, self._settings.train, path)

    def _keep_point(self):
        """Keep the point to rewind to, and of the other checkpoints on the way none."""
        if not self._settings.rewind.count:
            return
        ways = sorted(path for path in self._saved() if re.search(r"\d\.pt$", path))
        if not os.path.exists(self.path("rewind.pt")):
            copy_checked(self._find_point(ways), self.path("rewind.pt"))
        for path in ways:
            os.remove(path)

    def _find_point(self, paths):
        rewind = self._settings.rewind
        for path in paths:
            ((epoch, updates),) = re.findall(r"checkpoint_?(\d+)(?:_(\d+))?\.pt$", os.path.basename(path))
            if rewind.unit == "ep" and not updates and int(epoch) == rewind.count:
                return path
            if rewind.unit == "up" and updates in ("", str(rewind.count)):
                if load_checkpoint(path)["optimizer_history"][-1]["num_updates"] == rewind.count:
                    return path
        raise ValueError(
            f"--rewind {rewind}: the training was over before, so that point was never saved; give an earlier one and "
            "a new folder, e.g. --rewind 1ep"
        )

    def _begin(self, number, fraction):
        """Write the file that a round resumes, or else finetunes from; the options by which it does."""
        resumes = self._settings.rewind.count > 0
        begun = self.last(number) if resumes else self.path(f"start-{number}.pt")
        if not os.path.exists(begun):
            os.makedirs(os.path.dirname(begun), exist_ok=True)
            point = load_checkpoint(self.path("rewind.pt" if resumes else "start.pt"))
            forget_best_of(point["extra_state"])  # a dense model's is no yardstick
            targets = self._targets(self.last(number - 1), fraction)
            masks = stored_masks(load_checkpoint(self.last(number - 1))["model"])
            targets.begin(masks)
            masks = targets.select(1, masks).checked().masks
            ties = find_ties(point["model"])
            weights = {name: point["model"][name] * masks[tie] for name, tie in ties.items() if tie in masks}
            write_pruned(point, weights, masks, begun, resumes)
        return ["--no-epoch-checkpoints", *([] if resumes else ["--finetune-from-model", begun])]

    def _targets(self, checkpoint, fraction):
        """What is pruned of a checkpoint's model, by its weights."""
        task, _ = load_task(checkpoint, self._data)
        targets = Targets(load_model(checkpoint, task), self._settings.plan(fraction))
        for prunable in targets.prunables:
            if prunable.scale:
                raise ValueError(f"{prunable.name}: is weight-normalised; leave it out, e.g. --skip '{prunable.name}'")
        return targets
