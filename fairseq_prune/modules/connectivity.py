"""Connectivity: a multiplier for each prunable unit, 1 until the unit is selected, 0 when it can be cut."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Connectivity:
    """Reads one connectivity vector, a buffer of the module that it belongs to.

    A plain object, not a module: moving a model replaces its buffers, so the vector is looked up at
    each use, and a deep copy of the model gets a reader of the copied module.

    Args:
        owner: the ``nn.Module`` that gets the buffer.
        name: of the buffer.
        length: units (count).

    Attributes:
        idle: True while all values are 1; multiplying is then left out.
        in_weights: True while the weights that it multiplies hold the products
            (:class:`~.multiplied.Multiplied`).
    """

    def __init__(self, owner: nn.Module, name: str, length: int):
        owner.register_buffer(name, torch.ones(length))
        self._owner, self._name = owner, name
        self.idle, self.in_weights = True, False

    @property
    def vector(self) -> Tensor:
        """The buffer, float tensor [length]."""
        return getattr(self._owner, self._name)

    @property
    def active(self) -> Tensor | None:
        """The vector where it does something or its gradient is wanted, else None."""
        return None if self.idle and not self.vector.requires_grad else self.vector

    def refresh(self) -> None:
        """Look again whether all values are 1; call after changing the vector."""
        self.idle = bool((self.vector == 1).all())

    @torch.no_grad()
    def shrink(self, units: Tensor, value: float) -> None:
        """Set the multiplier of some units, bool [length], to a value below 1."""
        self.vector.masked_fill_(units, value)
        self.idle = False  # looking would wait for the GPU

    def scale_weight(self, weight: Tensor, axis: int) -> Tensor:
        """As :meth:`scale`, a parameter."""
        return weight if self.in_weights else self.scale(weight, axis)

    def scale(self, tensor: Tensor, axis: int) -> Tensor:
        """Multiply a tensor by the vector along an axis."""
        c = self.active
        if c is None:
            return tensor
        shape = [1] * tensor.dim()
        shape[axis] = -1
        return tensor * c.to(tensor.dtype).view(shape)


Products = list[tuple[Tensor, Connectivity, int]]  # a parameter, what multiplies it, along which axis


class ScaledFeatures(nn.Module):
    """Multiplies features [..., width] by a connectivity vector."""

    def __init__(self, connectivity: Connectivity):
        super().__init__()
        self._connectivity = connectivity

    def forward(self, x: Tensor) -> Tensor:
        return self._connectivity.scale(x, -1)


class _GradientOfKept(torch.autograd.Function):
    """A linear layer that forms the gradient of some rows (axis 0) or columns (1) of its weight, 0 elsewhere."""

    @staticmethod
    def forward(ctx, x, weight, bias, axis, kept):
        ctx.axis = axis
        ctx.save_for_backward(x, weight, kept)
        return F.linear(x, weight, bias)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        x, weight, kept = ctx.saved_tensors
        sides = [grad.flatten(0, -2), x.flatten(0, -2).to(grad.dtype)]
        of_bias = sides[0].sum(0) if ctx.needs_input_grad[2] else None
        side, other = sides.pop(ctx.axis), sides[0]
        # Thin times wide is the faster order, and so are gather and scatter_ along the last axis.
        of_kept = side.gather(1, kept.expand(len(side), -1)).T @ other
        of_weight = grad.new_zeros(weight.shape)
        if ctx.axis == 0:
            of_weight.index_copy_(0, kept, of_kept)
        else:
            of_weight.scatter_(1, kept.expand(len(weight), -1), of_kept.T)
        return grad @ weight.to(grad.dtype), of_weight, of_bias, None, None


class ConnectedLinear(nn.Module):
    """A linear layer whose rows or columns can be removed.

    Args:
        linear: the ``nn.Linear`` whose parameters it takes over.

    Attributes:
        kept: an axis of the weight and the indices that stay along it, int64 tensor; the others' gradient is not
            formed. None: all stay.
    """

    def __init__(self, linear: nn.Linear):
        super().__init__()
        self.weight, self.bias = linear.weight, linear.bias
        self.kept: tuple[int, Tensor] | None = None

    def scaled(self) -> tuple[Tensor, Tensor | None]:
        """Weight and bias as they act."""
        return self.weight, self.bias

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.scaled()
        if self.kept is None or not torch.is_grad_enabled():
            return F.linear(x, weight, bias)
        return _GradientOfKept.apply(x, weight, bias, *self.kept)


def joined(x: Tensor, *layers: ConnectedLinear) -> tuple[Tensor, ...]:
    """Outputs of several layers with biases for one input, in one product; none of them may have ``kept``."""
    weights, biases = zip(*(layer.scaled() for layer in layers), strict=True)
    return F.linear(x, torch.cat(weights), torch.cat(biases)).split([len(weight) for weight in weights], -1)


class InputScaledLinear(ConnectedLinear):
    """A linear layer whose inputs are multiplied by a connectivity vector.

    The factor goes to the weight's columns, which is the same and cheaper than scaling activations.

    Args:
        linear: the ``nn.Linear`` whose parameters it takes over.
        connectivity: :class:`Connectivity` as long as the layer has inputs.
    """

    def __init__(self, linear: nn.Linear, connectivity: Connectivity):
        super().__init__(linear)
        self._connectivity = connectivity

    def scaled(self) -> tuple[Tensor, Tensor | None]:
        return self._connectivity.scale_weight(self.weight, 1), self.bias

    def multiplied(self) -> Products:
        """The parameters that the connectivity multiplies, and along which axis."""
        return [(self.weight, self._connectivity, 1)]


class OutputScaledLinear(InputScaledLinear):
    """A linear layer whose outputs, bias included, are multiplied by a connectivity vector."""

    def scaled(self) -> tuple[Tensor, Tensor | None]:
        c, bias = self._connectivity, self.bias
        return c.scale_weight(self.weight, 0), None if bias is None else c.scale_weight(bias, 0)

    def multiplied(self) -> Products:
        return [(p, self._connectivity, 0) for p in (self.weight, self.bias) if p is not None]
