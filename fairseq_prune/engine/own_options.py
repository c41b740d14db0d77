"""Configs of tasks that are not part of a whole config, as tools make them that only want to translate."""

from dataclasses import fields, is_dataclass

from fairseq.dataclass.configs import FairseqConfig
from omegaconf import OmegaConf
from omegaconf.errors import InterpolationResolutionError


def stands_alone(cfg):
    """Tell whether a task's config is without the others, and give what it takes from them their defaults.

    A task takes some values, as ``${checkpoint.save_dir}``, from other groups of the config. There are none where
    the task is made from a namespace: ``tasks.setup_task(Namespace(task="prune_translation", data=...))``. Such a
    task can only evaluate, since fairseq's trainer needs the other groups.

    Args:
        cfg: of a task, a dataclass or an OmegaConf node; values that cannot be found are set.

    Returns:
        True if any was set.
    """
    names = [field.name for field in fields(cfg)] if is_dataclass(cfg) else list(cfg)
    lost = [name for name in names if not _is_found(cfg, name)]
    for name in lost:
        raw = getattr(cfg, name) if is_dataclass(cfg) else OmegaConf.to_container(cfg, resolve=False)[name]
        setattr(cfg, name, _default(raw))
    return bool(lost)


def _is_found(cfg, name):
    try:
        return not _is_reference(getattr(cfg, name))
    except InterpolationResolutionError:
        return False


def _is_reference(value):
    return isinstance(value, str) and value.startswith("${")


def _default(value):
    """What ``${group.name}`` is where nobody has set it."""
    groups = {field.name: field.type for field in fields(FairseqConfig)}
    while _is_reference(value):
        group, name = value.strip("${}").split(".")
        value = getattr(groups[group](), name)
    return value
