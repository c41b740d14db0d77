"""One runtime on one checkpoint, in a process of its own: ``python -m`` this module, REQUEST and OUT."""

import json
import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch

from ... import register
from ...checkpoint.load import load_task
from ...deploy.runtimes.runtime import Sample, Subject, load_runtimes
from ...deploy.runtimes.work import WORKS, batches_of
from ...files.json_file import write_json

WARM_UP = 2  # batches


def percentile(values: Sequence[float], fraction: float) -> float:
    """The smallest value that this fraction of all does not exceed."""
    ranked = sorted(values)
    return ranked[max(0, -int(-fraction * len(ranked) // 1) - 1)]


def time_batches(
    run: Callable[[Sample], list[Any]], samples: Sequence[Sample], units: int, clock: Callable[[], float]
) -> tuple[dict[str, float], list[list[Any]]]:
    """Run all batches once, after some of them to warm up.

    Args:
        run: of a runtime.
        samples: batches.
        units: that they hold (count).
        clock: function that returns seconds.

    Returns:
        ``per_second``, ``p50_ms`` and ``p95_ms`` of a batch, and the outputs.
    """
    for sample in samples[:WARM_UP]:
        run(sample)
    seconds, outputs = [], []
    for sample in samples:
        start = clock()
        outputs.append(run(sample))
        seconds.append(clock() - start)
    times = {"p50_ms": 1000 * statistics.median(seconds), "p95_ms": 1000 * percentile(seconds, 0.95)}
    return {"per_second": units / sum(seconds), **times}, outputs


@torch.inference_mode()
def measure(request: dict[str, Any]) -> dict[str, Any]:
    """What a request asks for.

    Args:
        request: dict of ``subject``, ``runtime``, ``path``, ``split``, ``count`` and ``sizes``.

    Returns:
        ``sizes`` (a dict a batch size), the quality, ``peak_memory`` of the process and ``added_memory`` since the
        data were read (bytes), on a GPU those of its own allocator.
    """
    subject, split = Subject(**request["subject"]), request["split"]
    task, _ = load_task(request["path"] if request["path"].endswith(".pt") else subject.path, subject.data)
    task.load_dataset(split)
    batches = {size: batches_of(task, split, request["count"], size) for size in request["sizes"]}
    before = _peak(subject.device)
    run = load_runtimes()[request["runtime"]].load(request["path"], subject, task)
    work, sizes, quality = WORKS[subject.kind], [], {}
    for size, samples in batches.items():
        times, outputs = time_batches(run, samples, sum(map(work.units, samples)), time.perf_counter)
        sizes.append({"batch_size": size, **times})
        quality = work.quality(task, samples, outputs)
    after = _peak(subject.device)
    return {"sizes": sizes, **quality, "peak_memory": after, "added_memory": after - before}


def _peak(device):
    if device != "cpu":
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    register()
    write_json(sys.argv[2], measure(json.loads(sys.argv[1])))
