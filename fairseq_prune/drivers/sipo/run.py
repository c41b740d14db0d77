"""A SiPO run from its inputs to its record."""

from typing import Any

from torch import nn

from ...engine.recipe import read_stages
from ...evaluate.load import Workbench
from ...families.recurrent.grouping import group_parameters
from ...files.atomic import write_text
from ...files.folder import require_elsewhere
from ...files.json_file import write_json
from ...files.locks import one_writer
from ...pruning.prunable import find_prunables
from ...pruning.scope import stage_scope
from ..checkpoints import copy_checked
from .job import SipoJob
from .rounds import SipoRun
from .searches import SEARCHES
from .settings import with_presets
from .text import render


def run_sipo(
    checkpoint: str,
    data: str,
    folder: str,
    given: dict[str, Any],
    dense_control: bool = False,
    log: dict[str, Any] | None = None,
) -> str:
    """Search, prune and retrain; write ``summary.json``, ``record.txt`` and ``best.pt``.

    Args:
        checkpoint: path of the trained model.
        data: folder of the data.
        folder: of all results; a run that was killed is resumed from it.
        given: dict of fields of :class:`~.settings.SipoSettings`; None where nothing was given.
        dense_control: also train the unpruned model for as many epochs.
        log: keyword arguments of fairseq's progress bar.

    Returns:
        The record, str.

    Raises:
        ValueError: bad settings, groups or data, or a failed training.
        OSError: nothing can be written into the folder, or another process writes there.
    """
    require_elsewhere(folder, "--checkpoint", checkpoint)
    bench = Workbench(checkpoint, data, bool(given.get("reference")), given.get("execute") or "dense")
    settings, groups, translates = _prepare(bench.model(checkpoint), given)
    with one_writer(folder):
        job = SipoJob(bench, checkpoint, groups, settings, folder, data, translates, log or {})
        run = SipoRun(job)
        return _finish(job, run, run.run(), dense_control)


def _finish(job, run, result, dense_control):
    """Write what a run has come to; its record."""
    epochs = job.settings.epochs * sum("retrained" in entry for entry in result["rounds"])
    dense = run.retrain.dense_control(epochs) if dense_control and epochs else None
    if result["best"] is not None:
        copy_checked(run.best_checkpoint(result["best"]), job.path("best.pt"))
    write_json(job.path("summary.json"), {"original": run.base, **result, "dense": dense})
    text = render(run.base, job.settings, result, dense)
    write_text(job.path("record.txt"), text)
    return text


def _prepare(model, given):
    """(settings, groups, True for an encoder-decoder), checked; the model is not kept."""
    translates = hasattr(model, "encoder")
    settings = with_presets(translates, **given)
    SEARCHES[settings.search]  # refuses an unknown name
    return settings, find_groups(settings.group, model), translates


def find_groups(group: str, model: nn.Module) -> dict[str, list[str]]:
    """Divide a model's parameters.

    Args:
        group: name of a grouping, or patterns like ``'ih=*_ih*;rest=*'``.
        model: ``nn.Module``.

    Returns:
        dict of group name -> list of parameter names, each parameter in exactly one.

    Raises:
        ValueError: unknown grouping, a pattern that matches nothing, or a parameter in no group or in two.
    """
    prunables = [p for p in find_prunables(model, include=("*",)) if p.parameter.requires_grad]
    if "=" not in group:
        return group_parameters(group, [p.name for p in prunables])
    try:
        groups = stage_scope(prunables, read_stages(group))
    except ValueError as error:
        raise ValueError(str(error).replace("--prune-stages", "--group")) from None
    return {name: [p.name for p in members] for name, members in groups.items()}
