"""What importances score besides the weights themselves: derivatives of the loss over training batches.

Nothing but the time is spent: weights, gradients, buffers, modes and random generators stay as they are.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from ..pruning.registry import Registry
from . import ranks
from .account import TRAINING
from .calibrate import input_products, inputs
from .evaluating import batch_statistics, evaluating, keeping_activations
from .layer_evidence import hidden_change, layer_count, loss_growth

if TYPE_CHECKING:
    from fairseq.criterions import FairseqCriterion
    from fairseq.models import BaseFairseqModel


TEMPERATURE = 200.0  # of GraSP's logits
_GRASP = 12  # forward passes: its two passes forward and back are 6, going back through both halves of the second 6


Sample = dict[str, Any]  # a batch of fairseq's


def gather(
    kind: str,
    model: BaseFairseqModel,
    criterion: FairseqCriterion,
    batches: Iterable[Sample],
    sums: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]] | None = None,
) -> Any:
    """Gather evidence in eval mode, added up over batches and ranks.

    Args:
        kind: name in :data:`KINDS`.
        model: fairseq model.
        criterion: the run's, which sums the loss over tokens or images.
        batches: iterable of collated samples; this rank's share.
        sums: function of values by parameter name -> their sums over the units of every layer, [units]; used by kinds
            of evidence that are of units.

    Returns:
        dict of parameter name -> float32 tensor of its shape; of derivatives by connectivity and of layers dict of
        vector name -> float32 tensor [units]; of kinds that go layer by layer pairs as of
        :class:`~..pruning.calibration.lockstep.Walk`.

    Raises:
        ValueError: no rank has a batch.
    """
    batches = list(batches)
    device = next(model.parameters()).device
    if not ranks.average(torch.tensor(float(len(batches)), device=device)):
        option = "--prune-batches (--srp-score-batches)"
        raise ValueError(f"{option}: the training set has no batch to score with; see --max-tokens, --batch-size")
    if KINDS[kind].layerwise:
        return KINDS[kind].gather(model, criterion, batches)
    given = (sums,) if KINDS[kind].of_units else ()
    with evaluating(model, criterion), keeping_activations(model), torch.enable_grad():
        found = KINDS[kind].gather(model, criterion, batches, *given)
    return {name: ranks.average(value) for name, value in found.items()}


def sensitivity(model: BaseFairseqModel, criterion: FairseqCriterion, batches: Iterable[Sample]) -> dict[str, Tensor]:
    """Weights times the gradient of the loss: Lee et al., ICLR 2019 (arXiv:1810.02340), eq. 5 before the absolute."""
    parameters, gradients = _trained(model), gradient(model, criterion, batches)
    return {name: parameters[name].detach().float() * derivative for name, derivative in gradients.items()}


def gradient(model: BaseFairseqModel, criterion: FairseqCriterion, batches: Iterable[Sample]) -> dict[str, Tensor]:
    """The gradient of a batch's mean loss, summed over batches; also by weights that are removed."""
    parameters, totals = _trained(model), _zeros(model)
    for sample in batches:
        loss = _mean_loss(model, criterion, sample)
        found = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
        for total, derivative in zip(totals.values(), found, strict=True):
            if derivative is not None:
                total += derivative.float()
    return totals


def squares(model: BaseFairseqModel, criterion: FairseqCriterion, batches: Iterable[Sample]) -> dict[str, Tensor]:
    """Squares of weights times the gradient of a batch's mean loss, summed over batches."""
    return squares_of_units(model, criterion, batches, lambda products: {})


def squares_of_units(
    model: BaseFairseqModel,
    criterion: FairseqCriterion,
    batches: Iterable[Sample],
    sums: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]],
) -> dict[str, Tensor]:
    """As :func:`squares`, and squares of each unit's sum of weights times gradients, one number a unit."""
    totals: dict[str, Tensor] = {}
    for sample in batches:
        products = sensitivity(model, criterion, [sample])
        for name, value in {**products, **sums(products)}.items():
            totals[name] = totals[name].add_(value.square()) if name in totals else value.square()
    return totals or dict(sums(_zeros(model)))


def hessian_gradient(
    model: BaseFairseqModel, criterion: FairseqCriterion, batches: Iterable[Sample]
) -> dict[str, Tensor]:
    """Weights times the Hessian's product with the gradient, at a temperature of 200.

    Batch norm takes the statistics of the batch, as in training: of a net that has not been trained its own are not
    those of any features, and the curvature is of another function.
    Source: Wang et al., ICLR 2020 (arXiv:2002.07376), GraSP, eq. 8 without its minus, so that higher = keep.
    """
    cooled = model.register_forward_hook(_cool)
    parameters, totals = _trained(model), _zeros(model)
    values = list(parameters.values())
    try:
        with batch_statistics(model), sdpa_kernel(SDPBackend.MATH):  # other kernels have no second derivative
            gradients = list(gradient(model, criterion, batches).values())
            for sample in batches:
                loss = _mean_loss(model, criterion, sample)
                firsts = torch.autograd.grad(loss, values, create_graph=True, allow_unused=True)
                pairs = zip(firsts, gradients, strict=True)
                products = ((first.float() * g).sum() for first, g in pairs if first is not None)
                product = sum(products, start=torch.zeros((), device=loss.device))
                seconds = torch.autograd.grad(product, values, allow_unused=True)
                for total, second in zip(totals.values(), seconds, strict=True):
                    if second is not None:
                        total += second.float()
    finally:
        cooled.remove()
    return {name: p.detach().float() * totals[name] for name, p in parameters.items()}


def connectivity_gradient(
    model: BaseFairseqModel, criterion: FairseqCriterion, batches: Iterable[Sample]
) -> dict[str, Tensor]:
    """Derivatives of the loss by every unit's connectivity; the loss is the sum over tokens.

    Source: SRP. Differences: dropout is off, and the loss has no distillation term.
    """
    return _by_connectivity(model, criterion, batches, torch.Tensor.float)


def connectivity_gradient_squared(
    model: BaseFairseqModel, criterion: FairseqCriterion, batches: Iterable[Sample]
) -> dict[str, Tensor]:
    """As :func:`connectivity_gradient`, but the derivatives of each batch are squared before they are added."""
    return _by_connectivity(model, criterion, batches, lambda gradient: gradient.float().square())


def _by_connectivity(model, criterion, batches, of_batch):
    vectors = {name: connectivity.vector for name, connectivity in model.connectivity.items()}
    totals = {name: torch.zeros_like(vector, dtype=torch.float32) for name, vector in vectors.items()}
    with _differentiable(vectors.values()):
        for sample in batches:
            loss, _, _ = criterion(model, sample)
            found = torch.autograd.grad(loss, list(vectors.values()))
            for total, gradient in zip(totals.values(), found, strict=True):
                total += of_batch(gradient)
    return totals


@contextlib.contextmanager
def _differentiable(vectors):
    for vector in vectors:
        vector.requires_grad_(True)
    try:
        yield
    finally:
        for vector in vectors:
            vector.requires_grad_(False)


@dataclass(frozen=True)
class Kind:
    """A kind of evidence.

    Args:
        gather: function of (model, criterion, batches).
        fine: needs more precision than fp16 has.
        redrawn: gathered over other batches at every event; False: over the same.
        of_units: has one number for each unit; ``gather`` then takes ``sums``, too.
        layerwise: comes layer by layer, each layer's once those before it are pruned.
        passes: function of the model -> what scoring a sample costs, in forward passes (count).
    """

    gather: Callable[..., Any]
    fine: bool = True
    redrawn: bool = True
    of_units: bool = False
    layerwise: bool = False
    passes: Callable[[nn.Module], int] = lambda model: TRAINING


def _one(model):
    """What a pass forward costs."""
    return 1


KINDS: Registry[Kind] = Registry("kind of evidence")
KINDS.add("gradient")(Kind(gradient, fine=False))
KINDS.add("sensitivity")(Kind(sensitivity))
KINDS.add("squares")(Kind(squares))
KINDS.add("squares_of_units")(Kind(squares_of_units, of_units=True))
KINDS.add("hessian_gradient")(Kind(hessian_gradient, passes=lambda model: _GRASP))
KINDS.add("connectivity_gradient")(Kind(connectivity_gradient, fine=False, redrawn=False))
KINDS.add("inputs")(Kind(inputs, fine=False, redrawn=False, layerwise=True, passes=_one))
KINDS.add("input_products")(Kind(input_products, fine=False, redrawn=False, layerwise=True, passes=_one))
KINDS.add("connectivity_gradient_squared")(Kind(connectivity_gradient_squared, fine=False, redrawn=False))
KINDS.add("hidden_change")(Kind(hidden_change, fine=False, passes=_one))
KINDS.add("loss_growth")(Kind(loss_growth, fine=False, passes=lambda model: 1 + layer_count(model)))


def _trained(model):
    """Parameters that the loss has derivatives by, dict of name -> parameter."""
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


def _zeros(model):
    """Where what is gathered is added up, dict of name of a trained parameter -> float32 tensor of its shape."""
    return {name: torch.zeros_like(p, dtype=torch.float32) for name, p in _trained(model).items()}


def _mean_loss(model, criterion, sample):
    loss, size, _ = criterion(model, sample)
    return loss / size


def _cool(module, inputs, output):
    if torch.is_tensor(output):
        return output / TEMPERATURE
    if not isinstance(output, tuple):
        raise ValueError(
            f"--prune-importance gradient_flow: {type(module).__name__} hands out no logits to divide by its "
            "temperature; give another, e.g. --prune-method snip"
        )
    return output[0] / TEMPERATURE, *output[1:]
