"""Selecting layer by layer, each from the inputs it receives once the layers before it are pruned."""

from collections.abc import Iterable, Mapping
from typing import cast

from torch import Tensor, nn

from ..pruning.calibration.inputs import Inputs, as_matrix, as_weight
from ..pruning.calibration.reconstruct import reconstruct
from ..pruning.calibration.scores import INPUT_SCORES
from ..pruning.masks import Masks
from ..pruning.prunable import Prunable
from ..pruning.selecting import Selection
from ..pruning.selecting.tensors import TensorSelector
from .targets import Targets

Evidence = Iterable[tuple[str, Inputs]]  # of layers in their order, :class:`~..pruning.calibration.lockstep.Walk`


def select_layerwise(
    targets: Targets, parameters: Mapping[str, nn.Parameter], event: int, masks: Masks, evidence: Evidence
) -> Selection:
    """What is removed at an event, and new values of what is kept where the importance has such.

    Tensors that no input meets, as tables that are looked up, come last and count as if all inputs were equal: they go
    by magnitude. Meanwhile the model's weights are as they will be, afterwards as they were.

    Args:
        targets: with one group for each tensor.
        parameters: dict of name -> parameter.
        event: its number, from 1.
        masks: in force, dict of parameter name -> bool.
        evidence: pairs of name and inputs; a layer is taken once those before are pruned.

    Returns:
        :class:`~..pruning.selecting.Selection`, with all masks that are then in force.
    """
    fractions = targets.fractions(event, masks)
    left = {p.name: p for p in targets.prunables}
    own = {name: parameters[name].detach().clone() for name in left}
    chosen: Masks = {}
    values: dict[str, Tensor] = {}
    try:
        for name, inputs in _all(evidence, left):
            one = _select_one(targets, left.pop(name), fractions[name], masks, inputs)
            _take(parameters, one)
            chosen.update(one.masks)
            values.update(one.values)
    finally:
        for name, value in own.items():
            parameters[name].data.copy_(value)
    return targets.intersected(Selection(chosen, values=values), masks)


def _all(evidence, left):
    for name, inputs in evidence:
        if name in left:
            yield name, inputs
    for name, prunable in list(left.items()):
        yield name, Inputs.equal(as_matrix(prunable.weight()))


def _select_one(targets: Targets, prunable: Prunable, fraction: float, masks: Masks, inputs: Inputs) -> Selection:
    scoring, matrix = INPUT_SCORES[targets.plan.importance], as_matrix(prunable.weight())
    wide = matrix.to(inputs.squares.dtype).view(len(inputs.squares), -1, matrix.shape[1])
    if scoring.compensates and inputs.products is not None:
        of_tensors = cast(TensorSelector, targets.selector)
        select = of_tensors.column_selector(prunable.name, fraction, masks)
        keep, value = (part.view_as(matrix) for part in reconstruct(wide, inputs.factor, select, select.step))
        stored = prunable.store(as_weight(value, prunable.shape)).to(prunable.parameter.dtype)
        return Selection(prunable.split_mask(as_weight(keep, prunable.shape)), values={prunable.name: stored})
    score = prunable.store(as_weight(scoring.score(wide, inputs).view_as(matrix), prunable.shape))
    return targets.select_one(prunable.name, fraction, masks, {prunable.name: score}).checked()


def _take(parameters, selection):
    for name, value in selection.values.items():
        parameters[name].data.copy_(value)
    for name, keep in selection.masks.items():
        parameters[name].data.mul_(keep)
