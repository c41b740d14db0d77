"""Which tensors have units of the requested kind."""

from collections.abc import Callable, Sequence

from ..prunable import Prunable
from .selector import SelectionPlan


def fitting(
    plan: SelectionPlan,
    prunables: Sequence[Prunable],
    check: Callable[[Prunable], None],
    instead: str = "--prune-units weight",
) -> tuple[list[Prunable], dict[str, str]]:
    """Leave out the tensors without such units, unless the user named them.

    Args:
        plan: with ``units``, ``include`` and ``only``.
        prunables: list of :class:`~..prunable.Prunable`.
        check: function of one, which raises ValueError where it has none.
        instead: what could be given where none has.

    Returns:
        (list of those that have, dict of the others' names -> why not).

    Raises:
        ValueError: none has, or none that a pattern of the user's matches.
    """
    reasons = {}
    for p in prunables:
        try:
            check(p)
        except ValueError as error:
            reasons[p.name] = str(error)
    fit = [p for p in prunables if p.name not in reasons]
    for option, patterns in (("--prune-include", plan.include), ("--prune-only", plan.only)):
        for pattern in patterns:
            if matching := [p for p in prunables if p.matches(pattern)]:
                _require(matching, reasons, f"{option} {pattern}: matches nothing with units {plan.units}", instead)
    _require(prunables, reasons, f"--prune-units {plan.units}: the model has none", instead)
    return fit, reasons


def _require(tensors, reasons, problem, instead):
    """Refuse tensors of which none has the units."""
    if all(p.name in reasons for p in tensors):
        first = tensors[0].name
        raise ValueError(f"{problem}: {first}: {reasons[first]}; give others, e.g. {instead}")
