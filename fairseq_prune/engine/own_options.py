"""Values that a task takes from other groups of the config, in whichever form fairseq passes its own group."""

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
    """True if a task's config comes without the other groups that it takes values from.

    A task takes some values, as ``${checkpoint.save_dir}``, from other groups of the config. There are none where
    the task is made from a namespace: ``tasks.setup_task(Namespace(task="prune_translation", data=...))``. Such a
    task can only evaluate, since fairseq's trainer needs the other groups. A task without a dataclass is given a
    namespace of all options, its own and those of all groups.

    Args:
        cfg: of a task, a dataclass, an OmegaConf node or a namespace.
        options: the options that pruning adds to those of the task.
    """
    if not isinstance(cfg, Namespace):
        return bool(_lost(cfg))
    places = (_place(field.default) for field in fields(options) if _is_reference(field.default))
    return any(not hasattr(cfg, name) for group, name in places if group != EVALUATION)


def give_defaults(cfg: Any, options: type[FairseqDataclass]) -> None:
    """Give what a task's config takes from other groups its defaults, where these are not there.

    Args:
        cfg: as of :func:`stands_alone`; values that cannot be found are set.
        options: likewise.
    """
    if isinstance(cfg, Namespace):
        _complete_namespace(cfg, options)
        return
    stored: Any = vars(cfg) if is_dataclass(cfg) else OmegaConf.to_container(cfg, resolve=False)
    for name in _lost(cfg):
        setattr(cfg, name, _default(stored[name]))


def _complete_namespace(args, options):
    """It has the options of all groups without their groups' names, or only its own."""
    for field in fields(options):
        if _is_reference(field.default):
            _, name = _place(field.default)
            setattr(args, field.name, getattr(args, name, _default(field.default)))
        elif not hasattr(args, field.name):
            setattr(args, field.name, field.default)


def whole_config(cfg: Any) -> Any:
    """The config that a task's config is part of, with its groups as attributes; None where there is none.

    Args:
        cfg: of a task, an OmegaConf node or a namespace of all options.
    """
    if isinstance(cfg, Namespace):
        return SimpleNamespace(**dict.fromkeys(GROUPS, cfg)) if hasattr(cfg, "save_dir") else None
    return cfg._get_parent() if hasattr(cfg, "_get_parent") else None


def _lost(cfg):
    """Names of the values that cannot be found."""
    names = [field.name for field in fields(cfg)] if is_dataclass(cfg) else list(cfg)
    return [name for name in names if not _is_found(cfg, name)]


def _is_found(cfg, name):
    try:
        return not _is_reference(getattr(cfg, name))
    except InterpolationResolutionError:
        return False


def _is_reference(value):
    return isinstance(value, str) and value.startswith("${")


def _place(reference):
    """(group, name) of ``${group.name}``."""
    return reference.strip("${}").split(".")


def _default(value):
    """The default of what ``${group.name}`` stands for."""
    while _is_reference(value):
        group, name = _place(value)
        value = getattr(GROUPS[group](), name)
    return value
