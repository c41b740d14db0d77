"""fairseq's programs on a device, each in a child of a process that has imported them and never touches the device."""

import ctypes
import os
import shlex
import shutil
import signal
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import soak_children as children
from right import Failed

PR_SET_PDEATHSIG = 1  # of prctl(2)
LAST = 4000  # characters of what a program printed that a summary tells: two tracebacks through fairseq


@dataclass(frozen=True)
class Device:
    """What programs run on.

    Args:
        name: ``cpu``, or that of the card.
        cards: their numbers, tuple of str; empty on a CPU.
        deadline: of all programs, in seconds of ``time.monotonic``.
        longest: of one program, in seconds.
    """

    name: str
    cards: tuple
    deadline: float
    longest: float

    def words(self, text):
        """A command line's arguments as they are typed on this device, list of str."""
        return [word for word in shlex.split(text) if not (self.cards and word == "--cpu")]


@dataclass(frozen=True)
class Place:
    """Where a job works.

    Args:
        folder: its own, ``Path``.
        data: text made by ``soak_runs.make_data``, ``Path``.
        device: :class:`Device`.
        card: number of the card that it has, str; empty on a CPU.
    """

    folder: Path
    data: Path
    device: Device
    card: str

    def run(self, program, text, **more):
        """Run a program to its end, in a child; ``@`` and ``data:`` as in ``soak_runs.Command``.

        Raises:
            Failed: it did, or took too long.
        """
        self.wait([self.start(program, text, **more)])

    def start(self, program, text, log="log", cards=None):
        """Start a program; returns its process number and log."""
        words = [w.replace("data:", f"{self.data}/").replace("@", str(self.folder)) for w in self.device.words(text)]
        path = self.folder / log
        return children.start(program, words, path, lambda: self._enter(self.card if cards is None else cards)), path

    def begin(self, name, whole):
        """A folder in which a run is to go on from the eighth update of another one."""
        (self.folder / name).mkdir()
        shutil.copy(next(whole.glob("checkpoint_*_8.pt")), self.folder / name / "checkpoint_last.pt")

    def wait(self, started):
        """Wait until programs have ended.

        Raises:
            Failed: as :meth:`run`.
        """
        end = min(self.device.deadline, time.monotonic() + self.device.longest)
        codes = [children.finish(child, max(0, end - time.monotonic())) for child, _ in started]
        for code, (_, log) in zip(codes, started, strict=True):
            if code:
                printed = log.read_text(errors="replace").strip() or "nothing"
                what = "took too long" if code == -signal.SIGKILL else f"status {code}"
                raise Failed(f"{log.name}, {what}: {printed.splitlines()[-1]}", printed[-LAST:])

    def _enter(self, cards):
        """In the child: it ends with its parent, sees its cards, and sums in one order."""
        import torch

        from fairseq_prune.pruning import devices

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if self.device.cards:
            os.environ["CUDA_VISIBLE_DEVICES"] = cards
            torch.use_deterministic_algorithms(True, warn_only=True)
        else:  # as on a card: what we do there, and what --fp16 and --amp of fairseq know of cards alone
            devices.HOSTS = set()
            torch.cuda.current_device, torch.Tensor.cuda = lambda: None, lambda tensor: tensor
            torch.cuda.amp.GradScaler = partial(torch.amp.GradScaler, "cpu")
