"""The pruning version of every task that comes with fairseq: ``prune_translation`` of ``translation``, and so on."""

from fairseq.tasks import TASK_REGISTRY

from ..engine.wrap import prunable

PRUNING = {  # name of fairseq's task -> its pruning version
    name: prunable(__name__, name, task)
    for name, task in sorted(TASK_REGISTRY.items())
    if task.__module__.startswith("fairseq.")
}
