"""fairseq's programs on a device, each in a child of a process that has imported them and never touches the device."""

import contextlib
import ctypes
import os
import shlex
import shutil
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import soak_children as children
from right import Failed
from simulated import simulated_gpu

PR_SET_PDEATHSIG = 1  # of prctl(2)
SIMULATED = "simulated"  # stands for the number of a card that is not there
_in_this_process = contextlib.ExitStack()
LAST = 4000  # characters of what a program printed that a summary tells: two tracebacks through fairseq


@dataclass(frozen=True)
class Device:
    """What programs run on.

    Args:
        name: of the card.
        cards: their numbers, tuple of str; :data:`SIMULATED` where there is none.
        deadline: of all programs, in seconds of ``time.monotonic``.
        longest: of one program, in seconds.
    """

    name: str
    cards: tuple
    deadline: float
    longest: float

    def words(self, text):
        """A command line's arguments as they are typed where there is a card, list of str."""
        return [word for word in shlex.split(text) if word != "--cpu"]


@dataclass(frozen=True)
class Place:
    """Where a job works.

    Args:
        folder: its own, ``Path``.
        data: text made by ``soak_runs.make_data``, ``Path``.
        device: :class:`Device`.
        card: number of the card that it has, str.
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

    def start(self, program, text, log="log", card=None):
        """Start a program; returns its process number and log."""
        words = [w.replace("data:", f"{self.data}/").replace("@", str(self.folder)) for w in self.device.words(text)]
        path = self.folder / log
        return children.start(program, words, path, lambda: self._enter(self.card if card is None else card)), path

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

    def _enter(self, card):
        """In the child: it ends with its parent, sees its card, and sums in one order."""
        import torch

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        torch.use_deterministic_algorithms(True, warn_only=True)
        if card == SIMULATED:
            _in_this_process.enter_context(simulated_gpu())
        else:
            os.environ["CUDA_VISIBLE_DEVICES"] = card
