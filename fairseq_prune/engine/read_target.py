"""Reading how much a run removes, from the one option of several that says so."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from ..methods.method import Method
from ..needs import spelt
from ..pruning.budget import CostLeft, Deviation, ErdosRenyi, Outliers, parse_target
from ..pruning.units import NofM, Weight, Width, is_coupled, parse_units

if TYPE_CHECKING:
    from .plan import Plan

Read = TypeVar("Read")
BY_LAYER = (Outliers, ErdosRenyi)  # targets by which every layer has a fraction of its own
COSTS = {"params_left": "params", "macs_left": "macs"}  # option -> cost


def budget_options(options: Mapping[str, Any]) -> list[str]:
    """Names of the given options that say how much is to be removed, as the fields of a config.

    Args:
        options: as of :func:`~.make_plan.make_plan`; ``budget`` is one, named by its first key.
    """
    given = [f"prune_{name}" for name in ("target", *COSTS) if name in options]
    return [*given, *list(options.get("budget", ()))[:1]]


def read_target(name: str, answers: Method, options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Read how much is to be removed, for :attr:`~.plan.Plan.target`.

    Args:
        name: of the method.
        answers: the method's, but where an option gave another one.
        options: as of :func:`~.make_plan.make_plan`.

    Raises:
        ValueError: naming the option, the value and a valid example.
    """
    units, target = answers.units, options.get("target", answers.target)
    for option in (option for option in COSTS if option in options):
        if len(given := budget_options(options)) > 1:
            raise ValueError(f"{' and '.join(map(spelt, given))} all say how much is to be removed; give one of them")
        return {"*": read_option(option.replace("_", "-"), partial(_cost_left, COSTS[option]), options[option])}
    if "budget" in options:
        return options["budget"]
    if is_n_of_m(units):
        if "target" in options:
            raise ValueError(f"--prune-target {options['target']}: --prune-units {units} says it already; leave it out")
        return read_option("units", parse_target, units)
    if target is None:
        example = "2:4" if units == "n:m" else "0.8"
        raise ValueError(f"--prune-method {name} needs --prune-target, e.g. --prune-target {example}")
    return parse_target(target)


def _cost_left(of, value):
    try:
        return CostLeft(of, float(value))
    except (TypeError, ValueError):
        raise ValueError("give the part that may be left, in (0, 1), e.g. 0.4") from None


def check_target(plan: Plan) -> None:
    """Refuse a target that the plan's units cannot have, as ``2:4`` for rows or a cost for single weights.

    Raises:
        ValueError: naming the option, the value and a valid example.
    """
    units: Any = parse_units(plan.units)
    for target in plan.target.values():
        if isinstance(target, CostLeft) and not getattr(units, "costed", False):
            example = "--compression-rate 0.2" if isinstance(units, Width) else "--prune-units neuron, or filter"
            raise ValueError(f"{target.option}: counts whole units, not {plan.units}; give e.g. {example}")
        if isinstance(target, BY_LAYER):
            _check_by_layer(target, plan, units)
        if isinstance(target, Deviation) and not isinstance(units, Weight):
            raise ValueError(f"--prune-target {target}: is for single weights; give e.g. --prune-target 0.5")
        if isinstance(target, NofM) and plan.units != "n:m":
            raise ValueError(
                f"--prune-target {target}: says how many weights of units n:m are kept, not of {plan.units}; give e.g. "
                "--prune-target 0.5, or --prune-method n:m"
            )
        if plan.units == "n:m" and not isinstance(target, NofM) and target != 0:  # 0 leaves a layer dense
            raise ValueError(f"--prune-target {target}: units n:m need 2:4 or m4n2; give e.g. --prune-target 2:4")


def _check_by_layer(target, plan, units):
    said = f"--prune-target {target}"
    if is_coupled(units):
        raise ValueError(
            f"{said}: gives every layer its own fraction, but several layers share {plan.units}; give e.g. 0.5"
        )
    if isinstance(target, Outliers) and plan.approach:
        raise ValueError(f"{said}: is not for --prune-method {plan.method}; give e.g. --prune-target 0.5")
    if plan.scope not in ("layer", "output"):
        raise ValueError(
            f"{said}: gives every layer its own fraction; leave out --prune-scope {plan.scope}, or give layer"
        )


def by_layer(target: Mapping[str, Any]) -> bool:
    """True if any of a plan's targets gives every layer its own fraction."""
    return any(isinstance(goal, BY_LAYER) for goal in target.values())


def is_n_of_m(text: str) -> bool:
    """True for units such as ``2:4``, which say both that they are n:m and how many."""
    return text.replace(":", "").isdigit() and ":" in text


def read_option(option: str, read: Callable[[Any], Read], value: Any) -> Read:
    """Read an option's value; where that fails, the message begins with the option.

    Args:
        option: without ``--prune-``.
        read: function of the value.
        value: as it was given.

    Raises:
        ValueError: of ``read``, in one line with the option.
    """
    try:
        return read(value)
    except ValueError as error:
        raise ValueError(f"--prune-{option} {value}: {error}") from None
