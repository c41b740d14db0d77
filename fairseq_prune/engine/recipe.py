"""Recipes: the ``--prune-*`` options as a YAML file."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import yaml

from ..checkpoint.other_names import parts_of, renamed, unwrapped
from ..pruning.registry import closest


def read_recipe(path: str, known: Collection[str]) -> dict[str, Any]:
    """Read a recipe.

    Args:
        path: a flat YAML file; keys are option names (``prune-target`` or ``prune_target``), or ``prune_ratio``.
        known: option names without ``prune_``.

    Returns:
        dict of option name without ``prune_`` -> value.

    Raises:
        ValueError: no such file, not a mapping, or an unknown key.
    """
    try:
        with open(path, encoding="utf-8") as file:
            content = yaml.safe_load(file)
    except OSError as error:
        raise ValueError(f"--prune-recipe {path}: {error.strerror}; give a file with e.g. prune-target: 0.8") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"--prune-recipe {path}: not YAML, {reason}; write one 'prune-target: 0.8' a line") from None
    if not isinstance(content, dict):
        raise ValueError(f"--prune-recipe {path}: write one 'prune-target: 0.8' a line")
    options = _by_layer(path, content.pop("prune_ratio")) if "prune_ratio" in content else {}
    for key, value in content.items():
        name = str(key).replace("-", "_").removeprefix("prune_")
        if name not in known:
            spelt = [f"prune-{k}" for k in known]
            raise ValueError(f"--prune-recipe {path}: unknown key {key!r}{closest(key, spelt)}; e.g. prune-target: 0.8")
        if value is not None:
            options[name] = _checked(path, key, name, value)
    return options


_LISTS, _MAPPINGS = ("include", "skip", "only"), ("target", "stages")


def _by_layer(path, ratios):
    """The seed's map of parameter names to fractions or ``m4n2``: what it names is pruned and nothing else."""
    if not isinstance(ratios, dict) or not ratios:
        raise ValueError(f"--prune-recipe {path}: prune_ratio names no layers; write e.g. 'layer1.0.conv1.weight: 0.5'")
    by_name = {unwrapped(str(name)): ratio for name, ratio in ratios.items()}
    parts = parts_of(by_name)
    target = {f"*{renamed(name, parts)}": ratio for name, ratio in by_name.items()}
    return {"target": target, "only": list(target)}


def _checked(path, key, name, value):
    """Only patterns may be a list, only groups a mapping; everything else is what one would type."""
    if isinstance(value, list) and name in _LISTS and all(isinstance(v, str) for v in value):
        return value
    if isinstance(value, dict) and name in _MAPPINGS:
        return {str(group): v for group, v in value.items()}
    if isinstance(value, (str, int, float)) and not isinstance(value, bool):
        return str(value)
    raise ValueError(f"--prune-recipe {path}: cannot read {key}: {value!r}; write it as on the command line")


def read_patterns(given: str | Iterable[str]) -> tuple[str, ...]:
    """Patterns from ``'*.fc1.*,*embed*'`` or a list.

    Returns:
        tuple of str.
    """
    parts = given.split(",") if isinstance(given, str) else given
    return tuple(part.strip() for part in parts if part.strip())


def read_stages(given: str | Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Named groups from ``'embed=*embed*;ffn=*fc1*,*fc2*'`` or a mapping.

    Returns:
        dict of stage name -> tuple of patterns.

    Raises:
        ValueError: a part without ``=``, or an empty one.
    """
    if isinstance(given, str):
        pairs = [part.split("=", 1) for part in given.split(";") if part.strip()]
        if any(len(pair) != 2 for pair in pairs):
            raise ValueError(f"--prune-stages {given}: write e.g. 'embed=*embed*;ffn=*fc1*,*fc2*'")
        given = dict(pairs)
    stages = {name.strip(): read_patterns(_strings(name, patterns)) for name, patterns in given.items()}
    for name, patterns in stages.items():
        if not patterns:
            raise ValueError(f"--prune-stages: {name!r} has no pattern; write e.g. 'ffn=*fc1*,*fc2*'")
    return stages


def _strings(name, patterns):
    if isinstance(patterns, str) or isinstance(patterns, list) and all(isinstance(p, str) for p in patterns):
        return patterns
    raise ValueError(f"--prune-stages: cannot read {name}: {patterns!r}; write e.g. {name}: ['*fc1*', '*fc2*']")
