"""What is removed of nets with grouped convolutions and layer norms at half of all channels, beside Torch-Pruning."""

import warnings

import torch
import torch_pruning
from torch import nn
from torchvision import models

from fairseq_prune.engine.plan import Plan
from fairseq_prune.pruning.selecting.coupled import CoupledSelector
from fairseq_prune.pruning.surgery.cut import cut_state, entries, replace_values
from fairseq_prune.pruning.units import parse_units
from vision_bridge.models.divisible import make_divisible
from vision_bridge.surgery.trace import trace

NETS = ("regnet_y_400mf", "regnet_x_400mf", "resnext50_32x4d", "convnext_tiny")
PLAN = Plan(method="l1", units="filter", importance="magnitude", target={"*": 0.5}, scope="layer")


def new(name: str) -> nn.Module:
    torch.manual_seed(1)
    return models.get_model(name, num_classes=10)


def size(net: nn.Module) -> int:
    """Parameters (count)."""
    return sum(parameter.numel() for parameter in net.parameters())


def cut_by_ours(net: nn.Module, example: torch.Tensor) -> nn.Module:
    make_divisible(net)
    structure, parameters = trace(net, example), dict(net.named_parameters())
    selector = CoupledSelector(PLAN, structure, parse_units("filter"), lambda scores: scores, parameters)
    keep = selector.select(dict.fromkeys(selector.groups, 0.5), {}, torch.Generator()).keep
    replace_values(net, cut_state(entries(net), structure.table, keep))
    return net


def cut_by_theirs(net: nn.Module, example: torch.Tensor) -> nn.Module:
    head = [layer for layer in net.modules() if isinstance(layer, nn.Linear) and layer.out_features == 10]
    importance = torch_pruning.importance.MagnitudeImportance(p=1)
    torch_pruning.pruner.MetaPruner(net, example, importance, pruning_ratio=0.5, ignored_layers=head).step()
    return net


def main() -> None:
    warnings.simplefilter("ignore")  # theirs says which axis it takes of parameters outside of layers
    example = torch.zeros(2, 3, 64, 64)
    print("| parameters left at 0.5 | ours | Torch-Pruning | ratio |\n|---|---|---|---|")
    for name in NETS:
        whole = size(new(name))
        ours, theirs = (size(cut(new(name), example)) / whole for cut in (cut_by_ours, cut_by_theirs))
        print(f"| {name} | {ours:.4f} | {theirs:.4f} | {ours / theirs:.3f} |", flush=True)


if __name__ == "__main__":
    main()
