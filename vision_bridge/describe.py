"""What ``fairseq-prune inspect`` reports about an image classifier beyond the contents of its file."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from torch.nn.modules.conv import _ConvNd

from fairseq_prune.checkpoint.tensors import fraction, tensor_rows
from fairseq_prune.deploy.describers import DESCRIBERS
from fairseq_prune.engine.account import NodeCount

from .cost import count_without_norms, layer_costs
from .ratios.layers import PREFIX
from .rebuild import rebuild
from .surgery.trace import trace


@DESCRIBERS.add("prune_image_classification")
def describe(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """Cost and sizes for one image of the size that the model was trained on.

    Args:
        checkpoint: contents of a checkpoint of fairseq-train.

    Returns:
        ``{"total": {...}, "layers": [...]}``, plain values. Fractions in [0, 1]: ``conv_fraction_removed`` is the
        fraction of zeros in the weights of convolutions, ``overall_fraction_removed`` that in all parameters except
        biases, norm scales included. ``nodes`` and ``dead_nodes`` are as in
        :class:`~fairseq_prune.engine.account.NodeCount`.

    Raises:
        ValueError: as for :func:`~.rebuild.rebuild`.
    """
    model = rebuild(checkpoint)
    costs = layer_costs(model.net, model.example())
    rows = tensor_rows(checkpoint["model"])
    convs = {f"{PREFIX}{name}.weight" for name, module in model.net.named_modules() if isinstance(module, _ConvNd)}
    total = {
        "image": list(model.image_shape),
        "classes": model.classes,
        "macs": sum(cost.macs for cost in costs),
        "nonzero_macs": sum(cost.nonzero_macs for cost in costs),
        "params_without_norms": count_without_norms(model.net),
        **_count_nodes(model),
        **_zeros("conv", [row for row in rows if row.name in convs]),
        **_zeros("overall", [row for row in rows if "bias" not in row.name]),
    }
    return {"total": total, "layers": [_layer(model.net, cost) for cost in costs]}


def _count_nodes(model):
    """Living and dead removable channels and neurons, as in :class:`~fairseq_prune.engine.account.NodeCount`."""
    return NodeCount(model, partial(trace, model.net, model.example(), PREFIX)).count()


def _zeros(kind, rows):
    params, nonzero = sum(row.params for row in rows), sum(row.nonzero for row in rows)
    return {
        f"{kind}_params": params,
        f"{kind}_nonzero": nonzero,
        f"{kind}_fraction_removed": fraction(params - nonzero, params),
    }


def _layer(net, cost):
    weight = getattr(net.get_submodule(cost.name), "weight", None)
    return {
        "name": PREFIX + cost.name,
        "kind": cost.kind,
        "shape": [] if weight is None else list(weight.shape),
        "params": cost.weights,
        "nonzero": cost.nonzero,
        "fraction_removed": fraction(cost.weights - cost.nonzero, cost.weights),
        "macs": cost.macs,
        "nonzero_macs": cost.nonzero_macs,
    }
