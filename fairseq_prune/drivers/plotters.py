"""Figures of a checkpoint, of its task on data, and of a run's logs."""

import os
from argparse import Namespace
from collections.abc import Callable

from fairseq.criterions import FairseqCriterion
from fairseq.models import BaseFairseqModel
from fairseq.tasks import FairseqTask

from ..evaluate.describe import describe_checkpoint
from ..evaluate.for_task import load_for
from ..pruning.registry import Registry
from ..report.figures import draw_sparsity, draw_structure
from ..report.png import check_png
from ..report.run_log import draw_run, read_run

Plotter = Callable[[BaseFairseqModel, FairseqTask, FairseqCriterion, Namespace], str]  # -> a line for each figure
PLOTTERS: Registry[Plotter] = Registry("task")  # filled by register()
FIGURES = ("confusion", "saliency", "scores")
OF_FILES = {"sparsity": draw_sparsity, "structure": draw_structure}


def plot(options: Namespace) -> str:
    """Write the figures that were asked for.

    Args:
        options: of ``fairseq-prune plot``.

    Returns:
        A line for each figure, str.

    Raises:
        ValueError: no figure, one that could not be written, counts below 1; no checkpoint, or one of a task without
            figures; all before data are loaded. Or a run without a log.
    """
    _check(options)
    told = [draw_run(read_run(options.run[0]), options.run[1])] if options.run else []
    if of_files := [name for name in OF_FILES if getattr(options, name)]:
        report = describe_checkpoint(options.checkpoint)
        original = describe_checkpoint(options.original) if options.original else None
        told += [OF_FILES[name](report, getattr(options, name), original) for name in of_files]
    if any(getattr(options, name) for name in FIGURES):
        draw, model, task, config = load_for(PLOTTERS, options, "figures are of images")
        told.append(draw(model, task, task.build_criterion(config.criterion), options))
    return "\n".join(told)


def _check(options):
    wanted = {name: path for name in (*OF_FILES, *FIGURES) if (path := getattr(options, name))}
    if not wanted and not options.run:
        known = ", ".join(f"--{name}" for name in (*OF_FILES, *FIGURES))
        raise ValueError(f"no figure is asked for; give {known} or --run, e.g. --sparsity sparsity.png")
    if wanted and not options.checkpoint:
        name, path = next(iter(wanted.items()))
        raise ValueError(
            f"--{name} {path}: needs a checkpoint; give e.g. checkpoints/pruned/checkpoint_last.pt before it"
        )
    if options.checkpoint and not wanted:
        raise ValueError(
            f"CHECKPOINT {options.checkpoint}: --run does not look at it; leave it out, or give --sparsity"
        )
    first: dict[str, str] = {}
    for name, path in (wanted | ({"run": options.run[1]} if options.run else {})).items():
        check_png(f"--{name}", path)
        if (other := first.setdefault(os.path.realpath(path), name)) != name:
            raise ValueError(f"--{name} {path}: is the file of --{other}, too; give e.g. --{name} {name}.png")
    for name in ("images", "batches", "batch_size"):
        if getattr(options, name) < 1:
            option = f"--{name.replace('_', '-')}"
            raise ValueError(f"{option} {getattr(options, name)}: at least 1; give e.g. {option} 8")
