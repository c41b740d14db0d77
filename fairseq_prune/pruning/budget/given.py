"""A given target: one fraction for all groups, or one for each by pattern."""

import fnmatch
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from ..registry import closest
from ..units.support import NofM
from .cost import CostLeft
from .deviation import Deviation
from .erdos_renyi import ErdosRenyi
from .outliers import Outliers
from .threshold import Threshold

Goal = float | NofM | Deviation | Threshold | Outliers | ErdosRenyi | CostLeft  # a fraction, or how to find it
Target = Mapping[str, Goal]  # of groups, by name or pattern


def parse_target(given: float | str | Mapping[str, float | str]) -> Target:
    """Read a target.

    Args:
        given: ``0.8``, ``"0.8"``, ``"ih=0.9,hh=0.5"``, or a dict of pattern -> fraction; instead of a fraction
            ``2:4``, ``m4n2``, ``0.7std``, ``0.7owl``, ``0.7erk`` or ``0.001abs``.

    Returns:
        dict of group pattern -> fraction removed, in [0, 1), or how to find it (:data:`Goal`).

    Raises:
        ValueError: not a number, or outside [0, 1).
    """
    if isinstance(given, dict):
        pairs = dict(given)
    elif "=" in str(given):
        pairs = dict(part.split("=", 1) for part in str(given).split(",") if "=" in part)
        if len(pairs) != str(given).count(",") + 1:
            raise ValueError(f"--prune-target {given}: write pattern=fraction pairs, e.g. 'ih=0.9,hh=0.5'")
    else:
        pairs = {"*": given}
    return {str(pattern).strip(): _fraction(value) for pattern, value in pairs.items()}


def targets_for(groups: Collection[str] | Mapping[str, Iterable[str]], target: Target) -> Target:
    """Give every group its fraction; the first pattern that matches one of its names counts.

    Args:
        groups: group names, or a dict of them -> further names.
        target: dict of pattern -> fraction, from :func:`parse_target`.

    Returns:
        dict of group name -> fraction removed, or how to find it.

    Raises:
        ValueError: a group without a fraction, or a pattern that matches no group.
    """
    targets = {}
    names = {group: (group, *(groups[group] if isinstance(groups, dict) else ())) for group in groups}
    for group in groups:
        matching = [pattern for pattern in target if any(fnmatch.fnmatchcase(name, pattern) for name in names[group])]
        if not matching:
            raise ValueError(f"--prune-target gives no fraction for {group!r}; add e.g. '*=0.8' at the end")
        targets[group] = target[matching[0]]
    for pattern in target:
        if not any(fnmatch.fnmatchcase(name, pattern) for group in groups for name in names[group]):
            raise ValueError(
                f"--prune-target: {pattern!r} matches no group{closest(pattern, groups)}; groups: {', '.join(groups)}"
            )
    return targets


_KINDS: tuple[tuple[tuple[str, ...], Any], ...] = (  # texts by one of which a kind is known, the first that fits
    ((":", "m"), NofM),
    (("owl",), Outliers),
    (("erk",), ErdosRenyi),
    (("abs",), Threshold),
    (("s",), Deviation),
)


def _fraction(value):
    for signs, kind in _KINDS:
        if any(sign in str(value) for sign in signs):
            try:
                return kind.parse(value)
            except ValueError as error:
                raise ValueError(f"--prune-target {error}") from None
    try:
        fraction = float(value)
    except (TypeError, ValueError):
        fraction = -1.0
    if not 0 <= fraction < 1:
        raise ValueError(f"--prune-target {value}: give a fraction in [0, 1), e.g. 0.8 for 80 % removed")
    return fraction
