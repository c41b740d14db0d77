"""The multipliers of some units falling together, and the weights that they multiply, in few launches."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..pruning.devices import on_host
from .connectivity import Connectivity
from .layer_norm import ConnectedLayerNorm, dimension_weights
from .sided_norm import shared_by


class Multiplied:
    """Units whose multiplier is one value at a time, and the weights of a model times connectivity.

    Gradients by the products are those by the weights where units are whole, and no matter where they fall or are gone.
    Vectors with others between 0 and 1, of a run that stopped halfway, are left to the layers.

    Args:
        model: ``nn.Module``; those of its modules whose parameters connectivity multiplies say so by ``multiplied()``.
        falling: dict of :class:`~.connectivity.Connectivity` -> its units whose value falls, bool [units]; the others
            keep theirs.
    """

    def __init__(self, model: nn.Module, falling: Mapping[Connectivity, Tensor]):
        self._falling = list(falling)
        others = {c: c.vector.masked_fill(units, 0) for c, units in falling.items()}
        self._others, self._units = list(others.values()), [units.to(others[c]) for c, units in falling.items()]
        self._joined = [c for c, rest in others.items() if bool(((rest == 0) | (rest == 1)).all())]
        names: dict[Tensor, str] = {p: name for name, p in model.named_parameters()}
        layers: list[Any] = [module for module in model.modules() if hasattr(module, "multiplied")]
        owned = [(p, c, axis) for layer in layers for p, c, axis in layer.multiplied() if c in self._joined]
        self._parameters = {names[p]: p for p, *_ in owned}
        self._kept = [_over(others[c], axis, p) for p, c, axis in owned]
        self._selected = [_over(falling[c], axis, p) for p, c, axis in owned]
        norms = [layer for layer in layers if isinstance(layer, ConnectedLayerNorm) and layer.weighted]
        self._norms = {c: [norm for norm in norms if norm.reads(c)] for c in self._joined}

    def shrink(self, value: float) -> None:
        """Set the multipliers."""
        vectors = [c.vector for c in self._falling]
        torch._foreach_copy_(vectors, self._others)
        torch._foreach_add_(vectors, self._units, alpha=value)
        for c in self._falling:
            c.idle = False  # looking would wait for the GPU

    def products(self, value: float) -> dict[str, Tensor]:
        """The weights as they act with that multiplier, dict of parameter name -> tensor."""
        if not self._parameters:
            return {}
        factors = torch._foreach_add(self._kept, self._selected, alpha=value)
        weights = [p.detach() for p in self._parameters.values()]
        return dict(zip(self._parameters, torch._foreach_mul(weights, factors), strict=True))

    @contextlib.contextmanager
    def in_weights(self) -> Iterator[None]:
        """Let layers take it that their parameters hold these products meanwhile."""
        for c in self._joined:
            c.in_weights = True
        self._share()
        try:
            yield
        finally:
            for c in self._joined:
                c.in_weights = False
            for norm in (norm for norms in self._norms.values() for norm in norms):
                norm.shared = None

    def _share(self):
        for c, norms in self._norms.items():
            if on_host(c.vector) or not norms:
                continue
            scales = [norm.weight.detach() for norm in norms]
            weights = dimension_weights(c.vector.to(torch.promote_types(c.vector.dtype, torch.float32)))
            for norm, shared in zip(norms, shared_by(weights, scales), strict=True):
                norm.shared = shared


def _over(vector, axis, parameter):
    """A vector along an axis of a parameter; where launches count as large as this, so that one multiplies all."""
    shape = [1] * parameter.dim()
    shape[axis] = -1
    along = vector.to(parameter.dtype).view(shape)
    return along if on_host(parameter) else along.expand_as(parameter).contiguous()
