"""The fraction that each layer loses, derived from its outliers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ..pruning.budget.outliers import Outliers, fitted
from ..pruning.calibration.inputs import Inputs, as_matrix
from ..pruning.calibration.scores import wanda
from ..pruning.prunable import Prunable

Walk = Iterable[tuple[str, Inputs]]


def shares_by_outliers(prunables: Sequence[Prunable], goals: Mapping[str, Outliers], walk: Walk) -> dict[str, float]:
    """Fractions of tensors by the outliers of their blocks; tensors of one target share what is removed.

    Args:
        prunables: tensors.
        goals: dict of tensor name -> target, of those set by outliers.
        walk: pairs of name and inputs of the model as it is, :class:`~..pruning.calibration.lockstep.Walk`.

    Returns:
        dict of tensor name -> fraction removed, in [0, 1), which come to each target exactly.
    """
    norms = {name: inputs.norms for name, inputs in walk if name in goals}
    shares: dict[str, float] = {}
    for goal in dict.fromkeys(goals.values()):
        members = [p for p in prunables if goals.get(p.name) == goal]
        blocks: dict[str, list[Prunable]] = {}
        for p in members:
            blocks.setdefault(block_of(p.name), []).append(p)
        of_blocks = goal.shares(
            {block: [_scores(p, norms.get(p.name)) for p in those] for block, those in blocks.items()},
            {block: sum(p.parameter.numel() for p in those) for block, those in blocks.items()},
        )
        sizes = {p.name: p.parameter.numel() for p in members}
        shares |= fitted({p.name: of_blocks[block_of(p.name)] for p in members}, sizes, goal.fraction)
    return shares


def _scores(prunable, norms):
    matrix = as_matrix(prunable.weight()).float()
    inputs = Inputs.equal(matrix) if norms is None else Inputs(None, norms.square(), 1.0)
    return wanda(matrix.view(len(inputs.squares), -1, matrix.shape[1]), inputs)


def block_of(name: str) -> str:
    """The numbered part of a model that a parameter is in, as ``encoder.layers.0``; else its module.

    Example:
        >>> block_of("encoder.layers.0.fc1.weight"), block_of("layer1.0.conv1.weight"), block_of("embed.weight")
        ('encoder.layers.0', 'layer1.0', 'embed')
    """
    parts = name.split(".")
    numbered = [place for place, part in enumerate(parts) if part.isdigit()]
    return ".".join(parts[: numbered[-1] + 1 if numbered else -1])
