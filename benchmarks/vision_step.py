"""A forward pass of a cut classifier against the dense one, one written at those widths, and one cut by torch-pruning.

GReg's ResNet-56 with 2.55 times and VGG-19 with 8.89 times fewer multiply-accumulates. All lose the same filters,
so that the cut ones compute the same; that is checked. They take turns, each time in another order, in one process
of one thread, and what counts is the time that the thread was on a processor: other jobs of the machine take part of
its caches, but not of that.
"""

import argparse
import copy
import math
import random
import statistics
import time
import warnings

import torch
import torch.nn.functional as F
import torch_pruning
from devices import add_device
from torch import nn

from fairseq_prune.pruning.surgery.cut import cut_state, entries, replace_values
from fairseq_prune.pruning.surgery.structure import unit_rows
from vision_bridge.cost import layer_costs
from vision_bridge.models.nets import NETS, NetSpec
from vision_bridge.ratios.layers import find_layers
from vision_bridge.ratios.stage_pr import layer_ratios
from vision_bridge.ratios.targets import targets_of_vectors
from vision_bridge.surgery.trace import trace

WARM_UP = 3


class Block(nn.Module):
    """Two convolutions with ``inner`` channels between them, beside a shortcut that pads."""

    def __init__(self, inputs, inner, outputs):
        super().__init__()
        self.stride, self.missing = (1, 0) if inputs == outputs else (2, outputs - inputs)
        self.conv1 = nn.Conv2d(inputs, inner, 3, self.stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)

    def forward(self, x):
        branch = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.missing:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.missing // 2, self.missing // 2))
        return F.relu(branch + x)


def resnet56_by_hand():
    """ResNet-56 for 10 classes that lost 75, 75 and 32 % of the first filters of its blocks."""
    parts = [nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    inputs = 16
    for outputs, inner in ((16, 4), (32, 8), (64, 43)):
        for _ in range(9):
            parts.append(Block(inputs, inner, outputs))
            inputs = outputs
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def vgg19_by_hand():
    """VGG-19 for 100 classes that lost 70 % of all filters but those of its first convolution."""
    parts, inputs = [], 3
    for stage, widths in enumerate(([64, 19], [38] * 2, [76] * 4, [153] * 4, [153] * 4)):
        parts += [nn.MaxPool2d(2)] if stage else []
        for width in widths:
            parts += [nn.Conv2d(inputs, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
            inputs = width
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, 100))


NETWORKS = {  # classes, --stage-pr, at those widths by hand
    "resnet56": (10, "[0,0.75,0.75,0.32,0]", resnet56_by_hand),
    "vgg19": (100, "[1-15:0.7]", vgg19_by_hand),
}


def smallest_filters(structure, net, stage_pr):
    """What is kept: dict of vector name -> bool tensor, as method l1 chooses."""
    ratios = layer_ratios(find_layers(net), stage_pr, None, "filter")
    weights, keep = dict(net.named_parameters()), {}
    for name, fraction in targets_of_vectors(structure, structure.vectors, ratios, "writers").items():
        scores = unit_rows(structure, name, "writers", weights.__getitem__).abs().sum(1)
        keep[name] = torch.ones(len(scores), dtype=torch.bool)
        keep[name][scores.argsort()[: math.ceil(fraction * len(scores))]] = False
    return keep


def cut_by_torch_pruning(net, keep, example):
    """Cut the same filters with torch-pruning alone."""
    graph = torch_pruning.DependencyGraph()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        graph.build_dependency(net, example, verbose=False)
    for name, stays in keep.items():
        removed = (~stays).nonzero().flatten().tolist()
        if removed:
            layer = net.get_submodule(name)
            graph.get_pruning_group(layer, torch_pruning.prune_conv_out_channels, removed).prune()


def contenders(name):
    """The networks to compare, by what they are: dense, and three that compute the same."""
    classes, stage_pr, by_hand = NETWORKS[name]
    example = torch.zeros(2, 3, 32, 32)
    dense = NETS[name](NetSpec(classes, 3, 32))
    structure = trace(dense, example)
    keep = smallest_filters(structure, dense, stage_pr)
    ours, theirs, hand = copy.deepcopy(dense), copy.deepcopy(dense), by_hand()
    replace_values(ours, cut_state(entries(ours), structure.table, keep))
    cut_by_torch_pruning(theirs, keep, example)
    hand.load_state_dict(dict(zip(hand.state_dict(), ours.state_dict().values(), strict=True)))
    return {"dense": dense, "cut by us": ours, "written at those widths": hand, "cut by torch-pruning": theirs}


@torch.no_grad()
def measure(nets, batch, rounds, device):
    """Processor seconds of a forward pass in eval mode.

    Args:
        nets: from :func:`contenders`.
        batch: images (count).
        rounds: passes of each (count).
        device: :class:`~devices.Device`.

    Returns:
        dict of name -> list of ``rounds`` seconds; those at one place were taken in turn.
    """
    images = torch.randn(batch, 3, 32, 32)
    _, ours, *others = (net.eval()(images) for net in nets.values())  # on the CPU: cards round more
    if not all(torch.allclose(ours, other, atol=1e-4) for other in others):
        raise SystemExit("the cut networks do not compute the same")
    images = images.to(device.torch)
    for net in nets.values():
        net.to(device.torch)
    times = {name: [] for name in nets}
    for step in range(rounds + WARM_UP):
        for name in random.sample(list(nets), len(nets)):
            taken, _ = device.seconds(lambda net=nets[name]: net(images), time.thread_time)
            if step >= WARM_UP:
                times[name].append(taken)
    return times


def main():
    """Print for each network and contender: M MACs, median ms, and how it compares with dense and with ours."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40, help="passes of each contender")
    parser.add_argument("--batch-size", type=int, default=64, help="images a pass")
    add_device(parser)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(1)
    random.seed(1)
    print(f"| forward, 32 x 32, batch {args.batch_size}, {args.device.name} | M MACs | ms | dense / it | it / ours |")
    print("|---|---|---|---|---|")
    for network in NETWORKS:
        nets = contenders(network)
        times = measure(nets, args.batch_size, args.rounds, args.device)
        for name, mine in times.items():
            macs = sum(cost.macs for cost in layer_costs(nets[name].cpu(), torch.zeros(1, 3, 32, 32))) / 1e6
            versus_dense = statistics.median(dense / own for dense, own in zip(times["dense"], mine, strict=True))
            versus_ours = statistics.median(own / ours for own, ours in zip(mine, times["cut by us"], strict=True))
            cells = f"{macs:.1f} | {1e3 * statistics.median(mine):.1f} | {versus_dense:.2f} | {versus_ours:.3f}"
            print(f"| {network}, {name} | {cells} |")
    print(f"\n{args.device.memory()}")


if __name__ == "__main__":
    main()
