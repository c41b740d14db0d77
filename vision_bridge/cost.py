"""Multiply-accumulates and parameters of a vision model, layer by layer."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from fairseq_prune.engine.evaluating import evaluating

LAYERS = (_ConvNd, nn.Linear, nn.MultiheadAttention)


@dataclass(frozen=True)
class LayerCost:
    """What one layer costs for one image.

    Args:
        name: name of the module.
        kind: ``"conv"``, ``"linear"`` or ``"attention"``.
        weights: elements of its weight (count).
        nonzero: elements of its weight that are not zero (count).
        biases: elements of its bias (count).
        positions: how often each weight is used (count).
        products: additional multiply-accumulates of activations with each other (count).
    """

    name: str
    kind: str
    weights: int
    nonzero: int
    biases: int
    positions: int
    products: int = 0

    @property
    def macs(self) -> int:
        """Multiply-accumulates, zeros included."""
        return self.weights * self.positions + self.products

    @property
    def nonzero_macs(self) -> int:
        """Multiply-accumulates with weights that are not zero."""
        return self.nonzero * self.positions + self.products


@torch.no_grad()
def layer_costs(net: nn.Module, example: Tensor) -> list[LayerCost]:
    """Cost of every convolution, linear layer and attention block that one image passes through in eval mode.

    Biases, norms, activations and pooling are not counted. Unlike in GReg, grouped convolutions are counted correctly,
    and a linear layer counts for every position that it is applied to. A layer whose weight is used without calling the
    layer (the attention of torchvision's Swin) is not counted.

    Args:
        net: ``nn.Module``; its training modes are restored.
        example: images [batch, C, H, W].

    Returns:
        list of :class:`LayerCost`, in the order of computation; a layer that is used twice occurs twice.
    """
    found, hooks = [], []
    for name, module in net.named_modules():
        if isinstance(module, LAYERS):
            hooks.append(module.register_forward_hook(_recorder(found, name, len(example))))
    try:
        with evaluating(net):
            net(example)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _recorder(found, name, batch):
    def record(module, inputs, output):
        if isinstance(module, nn.MultiheadAttention):
            found.append(_attention(module, name, inputs))
            return
        kind = "conv" if isinstance(module, _ConvNd) else "linear"
        grid = inputs[0] if isinstance(module, _ConvTransposeNd) else output
        channels = grid.shape[1] if kind == "conv" else grid.shape[-1]
        biases = 0 if module.bias is None else module.bias.numel()
        weight = module.weight
        positions = grid.numel() // channels // batch
        found.append(LayerCost(name, kind, weight.numel(), int(weight.count_nonzero()), biases, positions))

    return record


def _attention(module, name, inputs):
    queries, keys = (tensor.shape[1 if module.batch_first else 0] for tensor in inputs[:2])
    weights = [p for n, p in module.named_parameters() if n.endswith("weight")]
    biases = sum(p.numel() for n, p in module.named_parameters() if n.endswith("bias"))
    nonzero = sum(int(p.count_nonzero()) for p in weights)
    pairs = 2 * queries * keys * module.out_proj.weight.shape[1]
    return LayerCost(name, "attention", sum(p.numel() for p in weights), nonzero, biases, queries, pairs)


def count_parameters(net: nn.Module) -> int:
    """All parameters, including those of norms (count)."""
    return sum(p.numel() for p in net.parameters())


def count_without_norms(net: nn.Module) -> int:
    """Parameters of convolutions, linear layers and attention blocks, including biases (count), as GReg counts."""
    layers = (module for module in net.modules() if isinstance(module, LAYERS))
    return sum({p: p.numel() for layer in layers for p in layer.parameters(recurse=False)}.values())
