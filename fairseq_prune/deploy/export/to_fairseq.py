"""`--to fairseq`: a checkpoint that fairseq loads without --user-dir."""

import inspect
import os
import re
from argparse import Namespace
from collections import OrderedDict
from typing import Any

from fairseq import tasks
from omegaconf import OmegaConf

from ...checkpoint.load import load_task
from ...checkpoint.write import write_checked
from ...compat import load_checkpoint
from ...errors import errors_of_a_file
from ...families import options_of
from ..verify import require_same
from .exporters import EXPORTERS, Job
from .read import load_cut
from .stock_config import name_size, plain_namespace, stock_config

_INNER = re.compile(r"\b(encoder|decoder)\.(?:\w+\.)*layers\.\d+\.fc1\.weight")


@EXPORTERS.add("fairseq")
def to_fairseq(job: Job) -> dict[str, Any]:
    """Write a checkpoint of a stock task and architecture, without masks or training state.

    Args:
        job: what to export.

    Returns:
        The report.

    Raises:
        ValueError: there is no stock task or architecture, it cannot have these shapes, or its outputs differ.
    """
    original, stamp = load_checkpoint(job.checkpoint), job.stamp()
    task, config = load_task(job.checkpoint, job.data)
    groups = stock_config(config)
    model = load_cut(job.checkpoint, task)
    with errors_of_a_file(job.checkpoint, f"fairseq does not build {groups['model']['arch']} of plain options"):
        state = _stock_state(model, groups)

    def check(path):
        job.require_unchanged(stamp)
        return require_same(job.checkpoint, path, job.batches, job.data)

    for name in ("task", "model"):
        if isinstance(config[name], Namespace):  # rather than a dict, as where the options have a dataclass
            groups[name] = plain_namespace(groups[name])
    difference, batches = write_checked(_checkpoint(original, groups, state), job.out, check)
    names = {"architecture": groups["model"]["arch"], "task": groups["task"]["_name"]}
    return {**names, "batches": batches, "largest_difference": difference, "bytes": os.path.getsize(job.out)}


def _checkpoint(original, groups, state):
    """What fairseq-train would have saved, without the optimizer."""
    updates = (original.get("optimizer_history") or [{}])[-1].get("num_updates", 0)
    position = original.get("extra_state", {}).get("train_iterator", {"epoch": 1})
    history = {"criterion_name": "", "optimizer_name": "", "lr_scheduler_state": {}, "num_updates": updates}
    return {
        "args": None,
        "cfg": groups,
        "model": state,
        "optimizer_history": [history],
        "extra_state": {"train_iterator": position, "val_loss": None},
        "last_optimizer_state": None,
        "task_state": {},
    }


def _stock_state(model, groups):
    """The state dict of the stock model. Also writes its sizes, such as feed-forward widths, into its config."""
    state = model.state_dict()
    for name in getattr(model, "connectivity", ()):
        if not (state[name] == 1).all():
            raise ValueError(f"{name}: units are in the middle of shrinking; let the run finish")
    arch = groups["model"]["arch"]
    for option, size in {**options_of(model), **_neurons(state, arch)}.items():
        name_size(groups["model"], option, size)
    stock = _build(groups).state_dict()
    _require_fit(stock, state, {name for name, _ in model.named_parameters()}, arch)
    return OrderedDict((name, state[name]) for name in stock)


def _neurons(state, arch):
    """Widths of the feed-forward blocks: dict of option -> size."""
    found: dict[str, set[int]] = {}
    for name, value in state.items():
        if match := _INNER.search(name):
            found.setdefault(match[1], set()).add(len(value))
    for side, widths in found.items():
        if len(widths) > 1:
            several = " and ".join(map(str, sorted(widths)))
            raise ValueError(
                f"{side}.layers.*.fc1.weight: {several} neurons; {arch} has one number for all; see --to ctranslate2"
            )
    return {f"{side}_ffn_embed_dim": widths.pop() for side, widths in found.items()}


def _build(groups):
    config = OmegaConf.create({name: groups[name] for name in ("task", "model")})
    build = tasks.setup_task(config.task, from_checkpoint=True).build_model
    asks = "from_checkpoint" in inspect.signature(build).parameters  # not all tasks do
    return build(config.model, from_checkpoint=True) if asks else build(config.model)


def _require_fit(stock, state, parameters, arch):
    for name, value in stock.items():
        if name not in state:
            raise ValueError(f"{name}: the checkpoint has none, {arch} has")
        if value.shape != state[name].shape:
            have, want = ("x".join(map(str, shape)) for shape in (state[name].shape, value.shape))
            raise ValueError(
                f"{name} is {have}; fairseq's {arch} has {want} there, whatever its options; see --to ctranslate2"
            )
    if more := sorted(parameters - stock.keys()):
        raise ValueError(f"{more[0]}: {arch} has none")
