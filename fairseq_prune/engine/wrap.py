"""One line wraps any fairseq task."""

from dataclasses import make_dataclass

from fairseq.tasks import register_task

from .mixin import PruneMixin
from .options import PruneOptions


def prunable(module, name, config, task):
    """Register a pruning version of a fairseq task.

    Args:
        module: ``__name__`` of the calling module, which must bind both results by the names of
            the classes, so that spawned workers can unpickle the config.
        name: the new ``--task`` name.
        config: the task's ``FairseqDataclass``.
        task: the task's class.

    Returns:
        ``(config class, task class)``, called ``Prune`` + the originals' names.
    """
    new_config = make_dataclass(f"Prune{config.__name__}", [], bases=(PruneOptions, config))
    new_task = type(f"Prune{task.__name__}", (PruneMixin, task), {"__doc__": task.__doc__})
    new_config.__module__ = new_task.__module__ = module
    return new_config, register_task(name, dataclass=new_config)(new_task)
