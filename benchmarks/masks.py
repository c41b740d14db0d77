"""Masks of all of VGG-16, on one core; and what ADMM adds to a training step."""

import statistics
import time

import torch
from selection import seconds
from torch.nn import functional as F

from fairseq_prune.engine.make_plan import make_plan
from fairseq_prune.engine.pruner import Pruner
from fairseq_prune.engine.targets import Targets
from fairseq_prune.pruning.times import Position
from vision_bridge.models.nets import NETS, NetSpec

ROUNDS, BATCH = 9, 64
SELECTIONS = {  # name: options, goal in seconds
    "2:4": ({"method": "n:m", "units": "2:4", "skip": "block0.0.weight"}, 0.15),
    "patterns and connectivity (0.8)": ({"method": "patdnn", "target": 0.8, "skip": "classifier.weight"}, 0.5),
    "stripes (0.6)": ({"method": "stripe", "target": 0.6, "skip": "classifier.weight"}, None),
    "single weights (0.9)": ({"method": "irregular", "target": 0.9}, None),
}


class Optimizer:
    """What the pruner needs of fairseq's wrapper."""

    def __init__(self, parameters):
        self.optimizer = torch.optim.SGD(parameters, lr=0.01, momentum=0.9)


def training(arch, options):
    """Function that takes one training step, with a pruner or without (None)."""
    torch.manual_seed(1)
    net = NETS[arch](NetSpec(10, 3, 32))
    optimizer, pruner = Optimizer(net.parameters()), options and Pruner(net, make_plan(options))
    images, classes, updates = torch.randn(BATCH, 3, 32, 32), torch.randint(10, (BATCH,)), iter(range(10**6))

    def step():
        update = next(updates)
        if pruner:
            pruner.before_update(optimizer, Position(0, update))
        optimizer.optimizer.zero_grad()
        F.cross_entropy(net(images), classes).backward()
        if pruner:
            pruner.before_step(optimizer)
        optimizer.optimizer.step()
        if pruner:
            pruner.after_step(optimizer, Position(0, update))

    return step


def main():
    """Print two tables."""
    torch.set_num_threads(1)
    net = NETS["vgg16_bias"](NetSpec(10, 3, 32))
    print("| masks of VGG-16 | seconds, least of 9 | goal |\n|---|---|---|")
    for name, (options, goal) in SELECTIONS.items():
        targets = Targets(net, make_plan(options))
        targets.begin({})
        least = min(seconds(lambda s=targets: s.select(1, {})) for _ in range(ROUNDS))
        print(f"| {name} | {least:.3f} | {goal or ''} |")
    admm = {"method": "admm", "target": 0.8, "freeze": "100000up", "every": "1000up"}
    print(f"\n| training step of ResNet-20, batch {BATCH} | median ms | against plain |\n|---|---|---|")
    steps = {"plain": training("resnet20", None), "ADMM": training("resnet20", admm)}
    times = {name: [] for name in steps}
    for _ in range(3 + ROUNDS):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            times[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(found[3:]) for name, found in times.items()}
    for name, median in medians.items():
        print(f"| {name} | {1000 * median:.1f} | {median / medians['plain']:.3f} |")


if __name__ == "__main__":
    main()
