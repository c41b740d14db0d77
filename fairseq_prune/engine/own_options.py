"""The values that a task takes from other groups of the config, in whatever form fairseq hands it its own group."""

from argparse import Namespace
from dataclasses import fields, is_dataclass
from types import SimpleNamespace
from typing import Any

from fairseq.dataclass import FairseqDataclass
from fairseq.dataclass.configs import FairseqConfig
from omegaconf import OmegaConf
from omegaconf.errors import InterpolationResolutionError

EVALUATION = "common_eval"  # a group that the namespace of a training is without
GROUPS: dict[str, Any] = {field.name: field.type for field in fields(FairseqConfig)}


def stands_alone(cfg: Any, options: type[FairseqDataclass]) -> bool:
    """Give what a task's config takes from other groups its defaults, where the config comes without them.

    A task takes some values, as ``${checkpoint.save_dir}``, from other groups of the config. There are none where
    the task is made from a namespace: ``tasks.setup_task(Namespace(task="prune_translation", data=...))``. Such a
    task can only evaluate, since fairseq's trainer needs the other groups. A task without a dataclass is given a
    namespace of all options, its own and those of all groups.

    Args:
        cfg: of a task, a dataclass, an OmegaConf node or a namespace; values that cannot be found are set.
        options: the options that pruning adds to those of the task.

    Returns:
        True if any was set: the config stands alone.
    """
    if isinstance(cfg, Namespace):
        return _complete(cfg, options)
    names = [field.name for field in fields(cfg)] if is_dataclass(cfg) else list(cfg)
    lost = [name for name in names if not _is_found(cfg, name)]
    for name in lost:
        stored: Any = cfg if is_dataclass(cfg) else OmegaConf.to_container(cfg, resolve=False)
        raw = getattr(cfg, name) if is_dataclass(cfg) else stored[name]
        setattr(cfg, name, _default(raw))
    return bool(lost)


def _complete(args, options):
    """The same for a namespace, which has the options of all groups without their groups' names, or only its own."""
    lost = False
    for field in fields(options):
        if _is_reference(field.default):
            group, name = str(field.default).strip("${}").split(".")
            lost = lost or not hasattr(args, name) and group != EVALUATION
            setattr(args, field.name, getattr(args, name, _default(field.default)))
        elif not hasattr(args, field.name):
            setattr(args, field.name, field.default)
    return lost


def whole_config(cfg: Any) -> Any:
    """The config that a task's config is part of, with its groups as attributes; None where there is none.

    Args:
        cfg: of a task, an OmegaConf node or a namespace of all options.
    """
    if isinstance(cfg, Namespace):
        return SimpleNamespace(**dict.fromkeys(GROUPS, cfg)) if hasattr(cfg, "save_dir") else None
    return cfg._get_parent() if hasattr(cfg, "_get_parent") else None


def _is_found(cfg, name):
    try:
        return not _is_reference(getattr(cfg, name))
    except InterpolationResolutionError:
        return False


def _is_reference(value):
    return isinstance(value, str) and value.startswith("${")


def _default(value):
    """The default of what ``${group.name}`` stands for."""
    while _is_reference(value):
        group, name = value.strip("${}").split(".")
        value = getattr(GROUPS[group](), name)
    return value
