"""Pruning at once, without training: a model in memory, or a checkpoint."""

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn

from ..checkpoint.config import Config
from ..checkpoint.load import load_model, load_task
from ..checkpoint.write import write_checked
from ..compat import load_checkpoint
from ..engine.make_plan import make_plan
from ..engine.model_info import BY_FAMILY, ModelInfo, info_of
from ..engine.plan import Plan
from ..engine.pruner import Pruner
from ..engine.read_target import read_option
from ..engine.scoring import ScoringMixin
from ..families import options_of
from ..methods.method import Method
from ..methods.table import METHODS
from ..pruning.calibration.scores import INPUT_SCORES
from ..pruning.importance import EVIDENCE
from ..pruning.times import Position
from .calibration import Gather, evidence_of
from .compact import with_model


def prune_model(
    model: nn.Module,
    options: dict[str, Any],
    seed: int = 1,
    info: ModelInfo = BY_FAMILY,
    gather: Gather | None = None,
) -> float:
    """Remove weights or whole units of a model at once, in place.

    Masks then travel with the model's state dict; units that can be cut are cut out.

    Args:
        model: any ``nn.Module``. What masks have removed of it, in the weights that its pruning task loaded or by an
            earlier call, stays removed.
        options: as ``--prune-*`` on the command line, without the prefix: ``{"method": "magnitude", "target": 0.8}``.
        seed: of random choices.
        info: what is known about the model.
        gather: function of (model, kind, batches, seed) -> evidence; for methods that score a layer's inputs.

    Returns:
        Fraction of the prunable set that is removed, in [0, 1).

    Raises:
        ValueError: naming the option, the value and a valid example; also where the method needs training.
    """
    plan = plan_at_once(options, seed)
    _check_data(plan, options, gather)

    def evidence(model, kind, event):
        assert gather is not None  # where something is gathered, by _check_data
        return gather(model, kind, plan.batches, seed)

    pruner = Pruner(model, plan, info, gather=evidence)
    pruner.check_start()
    pruner.before_update(idle_optimizer(model), Position(epochs=0, updates=0, ends_epoch=False))
    return pruner.fraction_removed


def plan_at_once(options: Mapping[str, Any], seed: int) -> Plan:
    """The plan of a removal without training.

    Args:
        options: as of :func:`prune_model`.
        seed: of random choices.

    Raises:
        ValueError: naming the option, the value and a valid example; also where the method needs training.
    """
    method = options.get("method", "none")
    row = read_option("method", METHODS.__getitem__, method)
    _check_needs_no_training(f"--prune-method {method}", row)
    if row.schedule != "once" and not row.steps and "schedule" not in options:
        raise ValueError(_needs_training(f"--prune-method {method}"))
    plan = make_plan({name: _typed(value) for name, value in options.items()}, seed)
    _check_needs_no_training(f"--prune-importance {plan.importance}", plan)
    if plan.rewind or plan.schedule.end or plan.schedule.start.count:
        raise ValueError(f"--prune-schedule {plan.schedule}: without training all is removed at once; leave times out")
    return plan


def _typed(value: Any) -> Any:
    """As one would type it: numbers and switches of Python as text, mappings and lists as they are."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def idle_optimizer(model: nn.Module) -> Any:
    """Stands in for a run's optimizer in a removal: it has no statistics, and never steps."""
    return SimpleNamespace(optimizer=torch.optim.SGD(model.parameters(), lr=0.0))


def _device():
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _check_needs_no_training(asked: str, answers: Method | Plan) -> None:
    """Refuse what only training can do, of a method's row or of a plan."""
    if not answers.prunes:
        raise ValueError(f"{asked}: removes nothing; give e.g. magnitude")
    if answers.importance in EVIDENCE and answers.importance not in INPUT_SCORES or answers.approach:
        raise ValueError(_needs_training(asked))


def _needs_training(asked):
    return f"{asked}: needs training; use it with fairseq-train, or give e.g. magnitude"


def _check_data(plan, options, gather):
    """Refuse what is scored over batches where there are none, and batches where nothing is."""
    if plan.evidence and gather is None:
        raise ValueError(f"--prune-method {plan.method}: needs batches of data; use fairseq-prune prune, or magnitude")
    if "batches" in options and not plan.evidence:
        raise ValueError(f"--prune-batches {plan.batches}: has no effect here; leave it out, or give e.g. wanda")


def prune_checkpoint(
    path: str,
    out: str,
    options: dict[str, Any],
    data: str | None = None,
    seed: int = 1,
    check: Callable[[str], object] = load_checkpoint,
) -> float:
    """Remove weights or whole units of a checkpoint at once, and write another.

    The new file holds no optimizer state: it is to be evaluated or finetuned, not resumed. Its task is the pruning
    version of the stored one, so that masks stay in force.

    Args:
        path: checkpoint of fairseq-train, with or without pruning.
        out: the file to write.
        options: as of :func:`prune_model`.
        data: folder of the data; None: that of the training.
        seed: of random choices.
        check: function of a temporary path of the new file; what it raises leaves none behind.

    Returns:
        Fraction of the prunable set that is removed, in [0, 1).

    Raises:
        ValueError: as :func:`prune_model`; or the checkpoint cannot be read or its data are not there.
    """
    plan_at_once(options, seed)  # what cannot be is refused before anything is read
    checkpoint = load_checkpoint(path)
    task, config = load_task(path, data, pruning=True)
    model = load_model(path, task).float()
    gather = evidence_of(task, config) if isinstance(task, ScoringMixin) else None
    removed = prune_model(model.to(_device()), options, seed, info_of(task), gather)
    save_like(checkpoint, model.cpu(), out, check)
    return removed


def save_like(
    checkpoint: dict[str, Any], model: nn.Module, out: str, check: Callable[[str], object] = load_checkpoint
) -> None:
    """Write a model as a checkpoint of its own, with the config of another one, without optimizer state.

    Args:
        checkpoint: what the file holds that the model was loaded from.
        model: of that config, its weights masked or cut.
        out: the file to write.
        check: as of :func:`prune_checkpoint`.
    """
    config = Config(checkpoint)
    config.name_pruning_task()
    config.name_sizes(options_of(model))
    write_checked({**with_model(checkpoint, model.state_dict()), **config.stored}, out, check)
