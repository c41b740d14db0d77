"""Figures of what a checkpoint does with data, by what its task brings for it."""

from argparse import Namespace
from collections.abc import Callable

from fairseq.criterions import FairseqCriterion
from fairseq.models import BaseFairseqModel
from fairseq.tasks import FairseqTask

from ..evaluate.for_task import load_for
from ..pruning.registry import Registry
from ..report.png import check_png

Plotter = Callable[[BaseFairseqModel, FairseqTask, FairseqCriterion, Namespace], str]  # -> a line for each figure
PLOTTERS: Registry[Plotter] = Registry("task")  # filled by register()
FIGURES = ("confusion", "saliency", "scores")


def plot(options: Namespace) -> str:
    """Write the figures that were asked for.

    Args:
        options: of ``fairseq-prune plot``.

    Returns:
        A line for each figure, str.

    Raises:
        ValueError: no figure, one that could not be written, counts below 1; no checkpoint, or one of a task without
            figures; all before data are loaded.
    """
    wanted = {name: path for name in FIGURES if (path := getattr(options, name))}
    if not wanted:
        raise ValueError("no figure is asked for; give --confusion, --saliency or --scores, e.g. --scores scores.png")
    for name, path in wanted.items():
        check_png(f"--{name}", path)
    for name in ("images", "batches", "batch_size"):
        if getattr(options, name) < 1:
            option = f"--{name.replace('_', '-')}"
            raise ValueError(f"{option} {getattr(options, name)}: at least 1; give e.g. {option} 8")
    draw, model, task, config = load_for(PLOTTERS, options, "figures are of images")
    return draw(model, task, task.build_criterion(config.criterion), options)
