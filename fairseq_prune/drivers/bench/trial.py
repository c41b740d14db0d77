"""One runtime on one checkpoint, loaded and ready for batches."""

import resource
import time
from collections.abc import Callable
from typing import Any

import torch

from ...checkpoint.load import load_split, load_task
from ...deploy.runtimes.runtime import Subject, load_runtimes
from ...deploy.runtimes.work import WORKS, batches_of


class Trial:
    """What runs batches of a split and keeps the outputs.

    Args:
        request: dict of ``subject``, ``runtime``, ``path`` (what the runtime loads), ``split``, ``count`` (of
            sentences, rows or images), ``sizes`` (of batches) and ``threads`` (of the processor).
        clock: function that returns seconds.
    """

    def __init__(self, request: dict[str, Any], clock: Callable[[], float] = time.perf_counter):
        path, split = request["path"], request["split"]
        torch.set_num_threads(request["threads"])
        self._subject = Subject(**request["subject"])
        cut = path if path.endswith(".pt") else self._subject.path
        self._task, _ = load_task(cut, self._subject.data)
        load_split(self._task, split)
        self._batches = {size: batches_of(self._task, split, request["count"], size) for size in request["sizes"]}
        self._before, self._clock = _peak(self._subject.device), clock
        self._run = load_runtimes()[request["runtime"]].load(path, self._subject, self._task)
        self._outputs: dict[int, list[Any]] = {}

    def units(self, size: int) -> list[int]:
        """Sentences, tokens or images in each batch of a size (counts)."""
        work = WORKS[self._subject.kind]
        return [work.units(sample) for sample in self._batches[size]]

    @torch.inference_mode()
    def seconds(self, beam: int, size: int, index: int) -> float:
        """Run a batch.

        Args:
            beam: of translations.
            size: of the batches (count).
            index: of the batch among those of its size.

        Returns:
            Seconds that it took.
        """
        start = self._clock()
        self._outputs[index] = self._run(self._batches[size][index], beam)
        return self._clock() - start

    def quality(self, size: int) -> dict[str, float]:
        """Quality of the outputs of all batches of a size, the last that ran; dict of one measure or {}."""
        samples = self._batches[size]
        outputs = [self._outputs[index] for index in range(len(samples))]
        return WORKS[self._subject.kind].quality(self._task, samples, outputs)

    def memory(self) -> dict[str, int]:
        """``peak_memory`` of the process and ``added_memory`` since the data were read (bytes), on a GPU those of its
        own allocator."""
        after = _peak(self._subject.device)
        return {"peak_memory": after, "added_memory": after - self._before}

    def close(self) -> None:
        """There is nothing to close in this process."""


def _peak(device):
    if device != "cpu":
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
