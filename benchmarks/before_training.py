"""Pruning before training: what its scores cost, and what a training step costs afterwards.

Images are random; weights, and which of them stay, do not change what a pass costs, apart from widths.
"""

import argparse
import copy
import statistics

import torch
from devices import add_device
from torch import nn
from torch.nn import functional as F

from fairseq_prune.engine.evidence import gather
from fairseq_prune.engine.make_plan import make_plan
from fairseq_prune.engine.model_info import ModelInfo
from fairseq_prune.engine.pruner import Pruner
from fairseq_prune.pruning.times import Position
from vision_bridge.models.nets import NETS, NetSpec
from vision_bridge.surgery.trace import trace

SPEC, STEPS, BATCHES = NetSpec(10, 3, 32), 5, 5


class Criterion(nn.Module):
    """The loss as fairseq's criterions give it."""

    def forward(self, model, sample):
        images, classes = sample
        return F.cross_entropy(model(images), classes, reduction="sum"), len(images), {}


def sample(size, device):
    """Random images and classes."""
    return torch.randn(size, 3, 32, 32).to(device.torch), torch.randint(10, (size,)).to(device.torch)


def prune(net, batches, **options):
    """Prune a network before its first update, from scores of some batches."""
    optimizer = type("Wrapper", (), {"optimizer": torch.optim.SGD(net.parameters(), lr=0.1)})
    plan = make_plan({"steps": STEPS, **options})
    scores = lambda model, kind, event: gather(kind, model, Criterion(), batches)  # noqa: E731
    info = ModelInfo()
    info.find_structure = lambda model: trace(model, batches[0][0][:2])
    pruner = Pruner(net, plan, info, gather=scores)
    pruner.before_update(optimizer, Position(0, 0))


def passes(net, batches):
    """The forward and backward passes that the scores of so many steps need."""
    for _ in range(STEPS):
        for batch in batches:
            torch.autograd.grad(Criterion()(net, batch)[0], list(net.parameters()))


def time_scoring(size, turns, device):
    """Print SNIP-it's time on Conv-6 against its passes, in turns."""
    batches, rows = [sample(size, device) for _ in range(BATCHES)], []
    for _ in range(turns):
        net = NETS["conv6"](SPEC).to(device.torch)
        plain, _ = device.seconds(lambda n=net: passes(n, batches))
        ours, _ = device.seconds(lambda n=net: prune(n, batches, method="snip_it", target=0.98))
        rows.append((plain, ours))
    plain, ours = (statistics.median(column) for column in zip(*rows, strict=True))
    print(f"| Conv-6, {STEPS} steps of {BATCHES} batches of {size}, {device.name} | seconds | ratio |\n|---|---|---|")
    print(f"| forward and backward passes alone | {plain:.2f} | 1.00 |")
    print(f"| SNIP-it: scores, selections and masks | {ours:.2f} | {statistics.median(b / a for a, b in rows):.2f} |")


def time_steps(size, rounds, device):
    """Print the training step of VGG-16, dense and after SNAP-it at 0.93, in turns."""
    dense, batch = NETS["vgg16_fc3"](SPEC).to(device.torch), sample(size, device)
    small = copy.deepcopy(dense)
    prune(small, [batch], method="snap_it", target=0.93)
    optimizers = {net: torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9) for net in (dense, small)}

    def step(net):
        optimizers[net].zero_grad()
        Criterion()(net, batch)[0].backward()
        optimizers[net].step()

    rows = [[device.seconds(lambda n=net: step(n))[0] for net in (dense, small)] for _ in range(2 + rounds)][2:]
    medians = [1000 * statistics.median(column) for column in zip(*rows, strict=True)]
    ratio = statistics.median(a / b for a, b in rows)
    print(f"\n| training step of VGG-16, batch {size}, {device.name} | median ms | dense / it |\n|---|---|---|")
    print(f"| dense | {medians[0]:.1f} | 1.00 |\n| SNAP-it, 93 % of its nodes cut | {medians[1]:.1f} | {ratio:.1f} |")


def main():
    """Print two tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch-size", type=int, default=64, help="images a batch of scores; the original has 512")
    parser.add_argument("--step-batch-size", type=int, default=64, help="images a training step")
    parser.add_argument("--rounds", type=int, default=9, help="training steps of each")
    parser.add_argument("--turns", type=int, default=3, help="of passes alone and of scoring")
    add_device(parser)
    args = parser.parse_args()
    torch.manual_seed(1)
    time_scoring(args.batch_size, args.turns, args.device)
    time_steps(args.step_batch_size, args.rounds, args.device)
    print(f"\n{args.device.memory()}")


if __name__ == "__main__":
    main()
