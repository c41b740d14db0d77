"""The space of a search: options of fairseq-train that are tried, and their values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...pruning.registry import closest

if TYPE_CHECKING:
    from optuna.trial import Trial

_KEYS = ("trials", "space", "warm-up")
_SCALES = ("linear", "log")


@dataclass(frozen=True)
class Space:
    """What is searched for every method at every target.

    Args:
        trials: of a search (count), all with the first seed; the best options are trained with the others, too.
        options: dict of option -> ``(low, high, scale)`` between which numbers are drawn, or list of values.
        warm_up: updates (count) before which no trial is stopped.
    """

    trials: int
    options: Mapping[str, tuple[float, float, str] | list[str]]
    warm_up: int = 0

    def draw(self, trial: Trial) -> dict[str, Any]:
        """The values that a trial of Optuna has, dict of option -> value; drawn where it has none yet."""
        found: dict[str, Any] = {}
        for option, values in self.options.items():
            if isinstance(values, list):
                found[option] = trial.suggest_categorical(option, values)
            else:
                low, high, scale = values
                found[option] = trial.suggest_float(option, low, high, log=scale == "log")
        return found

    def plain(self) -> dict[str, Any]:
        """As plain values."""
        options = {option: list(values) for option, values in self.options.items()}
        return {"trials": self.trials, "space": options, "warm-up": self.warm_up}


def read_space(value: object, example: str) -> Space:
    """Read ``search`` of a recipe.

    Args:
        value: what stands there.
        example: of what could.

    Raises:
        ValueError: an unknown key, or a value that is none.
    """
    if not isinstance(value, dict) or not isinstance(value.get("space"), dict) or not value["space"]:
        raise ValueError(f"search: needs trials and a space; write e.g. {example}")
    for key in value:
        if key not in _KEYS:
            raise ValueError(f"search: unknown key {key!r}{closest(key, _KEYS)}; known: {', '.join(_KEYS)}")
    trials, warm_up = value.get("trials"), value.get("warm-up", 0)
    if type(trials) is not int or trials < 1 or type(warm_up) is not int or warm_up < 0:
        raise ValueError(f"search: trials and warm-up are whole numbers; write e.g. {example}")
    options = {option: _values(option, values) for option, values in value["space"].items()}
    return Space(trials, options, warm_up)


def _values(option, values):
    """``[low, high, log]`` or ``[low, high, linear]``, else values as they are typed."""
    refusal = f"search: cannot read {option}: {values}; write e.g. --lr: [0.0001, 0.01, log], or a list of values"
    if not str(option).startswith("--") or not isinstance(values, list) or len(values) < 2:
        raise ValueError(refusal)
    if values[-1] in _SCALES:
        *ends, scale = values
        if len(ends) != 2 or not all(type(end) in (int, float) and math.isfinite(end) for end in ends):
            raise ValueError(refusal)
        if not ends[0] < ends[1] or scale == "log" and ends[0] <= 0:
            raise ValueError(refusal)
        return float(ends[0]), float(ends[1]), scale
    if not all(isinstance(value, (str, int, float)) for value in values):
        raise ValueError(refusal)
    return [str(value) for value in values]
