"""The device that a benchmark measures on: its name, its clock, its memory."""

import resource
import time
from collections.abc import Callable
from typing import Any

import torch


class Device:
    """What ``--device`` asks for.

    Args:
        text: ``cpu`` or ``cuda``.

    Attributes:
        torch: ``torch.device``.
        name: ``CPU``, or that of the card.
        words: options of fairseq's programs, list of str.
    """

    def __init__(self, text: str):
        if text == "cuda" and not torch.cuda.is_available():
            raise SystemExit("--device cuda: torch finds no GPU here; give --device cpu")
        self.torch = torch.device(text)
        self.name = "CPU" if text == "cpu" else torch.cuda.get_device_name()
        self.words = ["--cpu"] if text == "cpu" else []

    def synchronise(self) -> None:
        """Wait until the device has done all that it was given."""
        if self.torch.type == "cuda":
            torch.cuda.synchronize()

    def seconds(self, work: Callable[[], Any], clock: Callable[[], float] = time.perf_counter) -> tuple[float, Any]:
        """Time one call: (seconds, its result). On a GPU it is wall time, whatever the clock."""
        clock = time.perf_counter if self.torch.type == "cuda" else clock
        self.synchronise()
        start = clock()
        result = work()
        self.synchronise()
        return clock() - start, result

    def memory(self) -> str:
        """The most that this process has held there so far, in words."""
        if self.torch.type == "cuda":
            return f"(at most {torch.cuda.max_memory_allocated() / 2**20:,.0f} MiB of the card allocated)"
        return f"(at most {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10:,.0f} MiB of memory)"


def add_device(parser) -> None:
    """Add ``--device`` to a parser; it is read as a :class:`Device`."""
    parser.add_argument("--device", type=Device, default="cpu", metavar="cpu|cuda", help="to measure on")
