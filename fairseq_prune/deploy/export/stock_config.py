"""Rewriting a config so that it names only what stock fairseq knows."""

import argparse
import dataclasses
from collections import OrderedDict
from typing import Any

from fairseq.criterions import CRITERION_DATACLASS_REGISTRY, CRITERION_REGISTRY
from fairseq.models import ARCH_MODEL_REGISTRY, MODEL_REGISTRY
from fairseq.optim import OPTIMIZER_DATACLASS_REGISTRY, OPTIMIZER_REGISTRY
from fairseq.optim.lr_scheduler import LR_SCHEDULER_DATACLASS_REGISTRY, LR_SCHEDULER_REGISTRY
from fairseq.tasks import TASK_DATACLASS_REGISTRY, TASK_REGISTRY
from omegaconf import DictConfig, OmegaConf

from ...engine.options import PruneOptions

_RUN = {  # group of the config -> (registered classes, their configs); not needed for evaluation, so None is allowed
    "criterion": (CRITERION_REGISTRY, CRITERION_DATACLASS_REGISTRY),
    "optimizer": (OPTIMIZER_REGISTRY, OPTIMIZER_DATACLASS_REGISTRY),
    "lr_scheduler": (LR_SCHEDULER_REGISTRY, LR_SCHEDULER_DATACLASS_REGISTRY),
}
_OURS = ("prune_", "srp_", "weighted_layernorm")  # prefixes of our architectures' options


def stock_config(config: DictConfig) -> dict[str, Any]:
    """Rewrite a config.

    Args:
        config: config of a checkpoint, as fairseq loads it.

    Returns:
        dict of groups with plain values.

    Raises:
        ValueError: fairseq has no task or no architecture that corresponds to ours.
    """
    stored: Any = OmegaConf.to_container(config, enum_to_str=True)  # a mapping, like the config
    groups = {name: vars(group) if isinstance(group, argparse.Namespace) else group for name, group in stored.items()}
    tables = {"task": (TASK_REGISTRY, TASK_DATACLASS_REGISTRY), **_RUN}
    before = {name: groups.get(name) or {} for name in tables}
    groups |= {name: _stock_group(before[name], *tables[name]) for name in tables}
    if groups["task"] is None:
        raise ValueError(f"task {config.task._name}: fairseq has none like it")
    arch = _stock_arch(groups["model"].get("_name") or groups["model"]["arch"])
    kept = {option for name, group in groups.items() if name != "model" for option in group or ()}
    ours = {option for group in before.values() for option in group} - kept
    names: dict[str, Any] = {name: groups[name] and groups[name]["_name"] for name in tables}
    names |= {"arch": arch, "user_dir": None}
    for name in ("task", "model"):  # if it was a namespace, each has the options of all groups
        options = {option: names.get(option, value) for option, value in groups[name].items()}
        groups[name] = {key: value for key, value in options.items() if key not in ours and not key.startswith(_OURS)}
    groups["model"] |= {"_name": arch, "arch": arch, "task": names["task"], "user_dir": None}
    groups["common"]["user_dir"] = None
    return groups


def name_size(model: dict[str, Any], option: str, size: int) -> None:
    """Set a size in a model's config, if it has the option.

    Args:
        model: this group of the config; after a training with hydra, each side has a subgroup of options.
        option: e.g. ``"encoder_ffn_embed_dim"``.
        size: the new value.
    """
    side, _, rest = option.partition("_")
    inner = model.get(side)
    if isinstance(inner, dict) and rest in inner:
        inner[rest] = size
    elif option in model:
        model[option] = size


def plain_namespace(values: dict[str, Any]) -> OrderedDict[str, Any]:
    """A dict whose values are attributes, too.

    fairseq saves a model's options as ``argparse.Namespace``, which plain torch (2.6 and later) refuses to load, while
    it loads a dict; but CTranslate2's converter reads attributes. torch loads an ``OrderedDict`` with both.
    """
    made = OrderedDict(values)
    made.__dict__.update(values)
    return made


def _stock_group(group, registered, configs):
    """The group for the nearest class of fairseq's own, with only its options; None if there is no such class."""
    name = group.get("_name")
    stock = _stock_name(registered.get(name), registered) if name else None
    if stock is None:
        return None
    if stock in configs:
        known = {field.name for field in dataclasses.fields(configs[stock])}
    else:  # its options have no dataclass and are mixed with those of all groups
        known = set(group) - {field.name for field in dataclasses.fields(PruneOptions)}
    return {**{option: value for option, value in group.items() if option in known}, "_name": stock}


def _stock_arch(arch):
    """An architecture of fairseq's own: the one named, or that of the model class from which ours is derived."""
    model = ARCH_MODEL_REGISTRY.get(arch) or MODEL_REGISTRY.get(arch)
    if model is not None and model.__module__.startswith("fairseq."):
        return arch
    stock = model and _stock_name(model, MODEL_REGISTRY)
    if not stock:
        raise ValueError(f"architecture {arch}: fairseq has none that computes it")
    return stock


def _stock_name(ours, registered):
    """Name of the nearest base class (or the class itself) that is fairseq's own."""
    for made_of in ours.__mro__ if ours else ():
        if made_of.__module__.startswith("fairseq."):
            return next((name for name, entry in registered.items() if entry is made_of), None)
    return None
