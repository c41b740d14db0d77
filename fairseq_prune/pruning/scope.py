"""Scopes: which tensors share one ranking."""

from collections.abc import Callable, Mapping, Sequence

from .prunable import Prunable
from .registry import Registry, closest

Stages = Mapping[str, Sequence[str]]  # stage name -> shell patterns
Scope = Callable[[Sequence[Prunable], Stages], dict[str, list[Prunable]]]

SCOPES: Registry[Scope] = Registry("scope")


@SCOPES.add("global")
def global_scope(prunables: Sequence[Prunable], stages: Stages) -> dict[str, list[Prunable]]:
    """All tensors in one ranking.

    Args:
        prunables: list of :class:`~fairseq_prune.pruning.prunable.Prunable`.
        stages: not used; see :func:`stage_scope`.

    Returns:
        dict of group name -> list of prunables.
    """
    return {"all": list(prunables)}


@SCOPES.add("layer")
def layer_scope(prunables: Sequence[Prunable], stages: Stages) -> dict[str, list[Prunable]]:
    """Every tensor in a ranking of its own, named after the tensor."""
    return {p.name: [p] for p in prunables}


@SCOPES.add("output")
def output_scope(prunables: Sequence[Prunable], stages: Stages) -> dict[str, list[Prunable]]:
    """As :func:`layer_scope`; the weights of a tensor are first compared with those of the same output."""
    return layer_scope(prunables, stages)


@SCOPES.add("stage")
def stage_scope(prunables: Sequence[Prunable], stages: Stages) -> dict[str, list[Prunable]]:
    """Named groups of tensors.

    Args:
        prunables: the prunable tensors.
        stages: dict of stage name -> list of shell patterns.

    Raises:
        ValueError: no stages; a tensor in no stage or in two; a pattern that matches nothing.
    """
    if not stages:
        raise ValueError("--prune-scope stage needs --prune-stages, e.g. 'embed=*embed*;rest=*layers*'")
    groups: dict[str, list[Prunable]] = {stage: [] for stage in stages}
    for p in prunables:
        homes = [stage for stage, patterns in stages.items() if any(map(p.matches, patterns))]
        if len(homes) != 1:
            found = f"in {len(homes)} stages ({', '.join(homes)})" if homes else "in no stage"
            raise ValueError(
                f"--prune-stages: {p.name} is {found}; every prunable tensor needs exactly one, "
                "e.g. 'embed=*embed*;rest=*layers*', or leave it out with --prune-skip"
            )
        groups[homes[0]].append(p)
    for stage, patterns in stages.items():
        for pattern in patterns:
            if not any(p.matches(pattern) for p in prunables):
                raise ValueError(
                    f"--prune-stages: pattern {pattern!r} of {stage!r} matches no prunable tensor"
                    f"{closest(pattern, [p.name for p in prunables])}"
                )
    return groups
