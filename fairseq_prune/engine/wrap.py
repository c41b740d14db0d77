"""Wrapping any fairseq task with pruning, in one line."""

import sys
from dataclasses import make_dataclass

from fairseq.dataclass.utils import gen_parser_from_dataclass
from fairseq.tasks import TASK_DATACLASS_REGISTRY, FairseqTask, register_task

from ..compat import read_on_every_rank
from .mixin import PruneMixin
from .options import PruneOptions


def prunable(module: str, name: str, task: type[FairseqTask]) -> type[FairseqTask]:
    """Register a pruning version of a registered fairseq task, ``prune_`` + its name.

    The new classes, ``Prune`` + the originals' names, are bound in the calling module, where spawned workers look
    for them.

    Args:
        module: ``__name__`` of the calling module.
        name: of the task, as in ``--task``.
        task: its class, with options in a ``FairseqDataclass`` or by ``add_args``.

    Returns:
        The new task class.
    """
    config = TASK_DATACLASS_REGISTRY.get(name)
    bases = (PruneMixin, task) if config else (PruneMixin, _Argparse, task)
    new_task = type(f"Prune{task.__name__}", bases, {"__doc__": task.__doc__, "__module__": module})
    new_config = None
    if config:
        new_config = make_dataclass(
            f"Prune{config.__name__}", [], bases=(PruneOptions, config), repr=False, eq=False,  # which take time
            namespace={"__doc__": f"Options of {name}, and of pruning."},
        )  # fmt: skip
        new_config.__module__ = module
        setattr(sys.modules[module], new_config.__name__, new_config)
    setattr(sys.modules[module], new_task.__name__, new_task)
    return register_task(f"prune_{name}", dataclass=new_config)(new_task)


class _Argparse(FairseqTask):
    """Goes before a task class that has its options in ``add_args``, which may be a static method or missing."""

    @classmethod
    def add_args(cls, parser):
        super().add_args(parser)
        gen_parser_from_dataclass(parser, PruneOptions())
        read_on_every_rank(parser)
