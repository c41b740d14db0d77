"""Coupled channels: a net without some of them is the net in which all that they own is zero."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from vision_nets import build, cut, difference, images, masked, outputs, select, settled

from fairseq_prune.pruning.surgery.cut import cut_state, cut_tensor, entries
from vision_bridge.models.nets import NETS, NetSpec
from vision_bridge.surgery.trace import trace

VECTORS = {  # net: size of images, vectors of channels that can be cut
    "resnet8": (8, 3),  # option A: one in each block, the residual width stays
    "resnet20": (8, 9),
    "resnet8b": (8, 6),  # with convolutions as shortcuts three residual widths, too
    "vgg11": (16, 8),
    "mobilenetv2": (8, 25),  # depthwise convolutions have no channels of their own
    "wrn16_1": (8, 9),
    "conv6": (8, 8),
    "lenet300": (8, 2),
    "lenet5": (32, 4),
    "densenet": (32, None),
    "squeezenet1_1": (32, None),
    "googlenet": (64, None),
    "mobilenet_v3_small": (32, None),
    "resnext": (16, 13),  # the stem, the width of each of 4 stages, and 2 inside of each of their blocks
    "convnext": (16, 5),  # layer norms: the width of both stages, and a hidden layer in each of three blocks
    "vit": (16, 5),  # the residual width; heads and neurons of two layers
    "regnet": (16, None),  # convolutions in groups, squeeze and excitation
}


def check_owners(structure):
    """No element of an axis belongs to channels of two vectors."""
    for owners in structure.table.values():
        for axis in {owner.axis for owner in owners}:
            mine = [owner for owner in owners if owner.axis == axis]
            assert len(mine) == 1 or sum((owner.elements >= 0).int() for owner in mine).max() == 1


@pytest.mark.parametrize("name", VECTORS)
def test_masked_is_cut(name):
    """Outputs in eval mode and in training, gradients of what stays, and the norms' running statistics."""
    net, (size, vectors) = build(name, VECTORS[name][0]), VECTORS[name]
    structure = trace(net, torch.zeros(2, 3, size, size))
    assert len(structure.vectors) == vectors or (vectors is None and len(structure.vectors) > 5)
    keep, image = select(structure), images(size)
    assert not any(units.all() for units in keep.values() if len(units) > 8)
    zeros, small = masked(net, structure, keep), cut(net, structure, keep)
    check_owners(structure)
    assert sum(p.numel() for p in small.parameters()) < 0.6 * sum(p.numel() for p in net.parameters())
    with torch.no_grad():
        assert difference(outputs(zeros.eval(), image), outputs(small.eval(), image)) <= 1e-10
        assert difference(outputs(net.eval(), image), outputs(small, image)) > 1e-3  # control: something left
    losses = []
    for each in (zeros.train(), small.train()):
        losses.append(outputs(each, image))
        F.cross_entropy(losses[-1], torch.arange(len(losses[-1])) % 10).backward()
    assert difference(*(loss.detach() for loss in losses)) <= 1e-10
    whole, left = dict(zeros.named_parameters()), dict(small.named_parameters())
    for entry, parameter in left.items():
        if (mine := parameter.grad) is not None:
            theirs = cut_tensor(whole[entry].grad, structure.table.get(entry, ()), keep)
            assert mine.shape == theirs.shape and (mine - theirs).abs().max() <= 1e-10 * max(1, theirs.abs().max())
    buffers = cut_state(dict(zeros.named_buffers()), structure.table, keep)
    assert all(torch.allclose(value, buffers[entry], rtol=1e-10) for entry, value in small.named_buffers())


@pytest.mark.parametrize("name", ["resnet8", "vgg11", "densenet"])
def test_control_a_shift_of_the_norm_is_no_zero(name):
    """Filters alone: the norm's shift still reaches the next layer, so cutting them is another function."""
    net, (size, _) = build(name, VECTORS[name][0]), VECTORS[name]
    structure = trace(net, torch.zeros(2, 3, size, size))
    keep, image = select(structure), images(size)
    filters, small = copy.deepcopy(net), cut(net, structure, keep)
    for vector, units in keep.items():
        for entry, owner in structure.slices(vector, "writers"):
            entries(filters)[entry].data.movedim(owner.axis, 0)[~owner.along(units, otherwise=True)] = 0
    with torch.no_grad():
        for mode in (True, False):
            assert difference(outputs(filters.train(mode), image), outputs(small.train(mode), image)) > 1e-3


ACTIVATIONS = [(F.relu, True), (F.hardswish, True), (torch.tanh, True), (torch.sigmoid, False)]


@pytest.mark.parametrize("act, same", ACTIVATIONS, ids=["relu", "hardswish", "tanh", "sigmoid"])
def test_activations_that_make_something_of_nothing(act, same):
    """All that writes a channel is zero, but sigmoid(0) is 0.5: that is for the comparison of outputs to catch."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.norm, self.two = nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.Conv2d(6, 4, 3)
            self.fc = nn.Linear(4, 10)

        def forward(self, x):
            return self.fc(self.two(act(self.norm(self.one(x)))).mean((2, 3)))

    torch.manual_seed(1)
    net = settled(Net()).eval()
    structure = trace(net, torch.zeros(2, 3, 8, 8))
    keep, image = {"one": torch.arange(6) % 2 > 0}, images(8)
    silent, small = masked(net, structure, keep, only=("one", "norm")), cut(net, structure, keep)
    found = difference(outputs(silent, image), outputs(small, image))
    assert found <= 1e-10 if same else found > 1e-3


def test_what_has_to_stay():
    """The outputs, what a group norm mixes, and groups of one channel; what follows them can be cut."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.mixed, self.norm = nn.Conv2d(3, 8, 1), nn.GroupNorm(2, 8)
            self.free, self.grouped, self.fc = nn.Conv2d(8, 3, 1), nn.Conv2d(3, 6, 3, groups=3), nn.Linear(6, 10)

        def forward(self, x):
            return self.fc(self.grouped(self.free(self.norm(self.mixed(x)))).mean((2, 3)))

    assert list(trace(Net(), torch.zeros(2, 3, 8, 8)).vectors) == ["grouped"]  # two of each group
    net = Net()
    net.norm, net.grouped, net.fc = nn.Identity(), nn.Conv2d(3, 3, 3, groups=3), nn.Linear(3, 10)  # control: both can
    structure = trace(net, torch.zeros(2, 3, 8, 8), "net.")
    assert {name: vector.length for name, vector in structure.vectors.items()} == {"net.mixed": 8, "net.free": 3}
    owned = {entry for entry, owners in structure.table.items() if any(o.vector == "net.free" for o in owners)}
    assert owned == {f"net.{e}" for e in ("free.weight", "free.bias", "grouped.weight", "grouped.bias", "fc.weight")}


@pytest.mark.parametrize(
    "build, name",
    [
        (lambda models: NETS["shufflenetv2"](NetSpec(10, 3, 16)), "ShuffleNet"),
        (lambda models: models.shufflenet_v2_x0_5(num_classes=10), "ShuffleNetV2"),
        (lambda models: models.swin_t(num_classes=10), "SwinTransformer"),
    ],
)
def test_what_cannot_be_traced_is_refused_soon(build, name):
    from torchvision import models

    with pytest.raises(ValueError, match=rf"^{name} cannot be traced: torch-pruning loses its channels \(\S") as error:
        trace(build(models), torch.zeros(2, 3, 32, 32))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("bound", ["_ROUNDS", "_MOST_INDICES"])
def test_control_the_bounds_end_a_trace(bound, monkeypatch):
    from torchvision import models

    net = models.densenet121(num_classes=10)
    monkeypatch.setattr(f"vision_bridge.surgery.trace.{bound}", 1)
    with pytest.raises(ValueError, match="they lead back to where they came from"):
        trace(net, torch.zeros(2, 3, 32, 32))


def test_tracing_leaves_the_net_alone():
    net = build("resnet8", 8).eval()
    before = {name: (id(value), value.clone()) for name, value in entries(net).items()}
    trace(net, torch.zeros(2, 3, 8, 8))
    assert not net.training and not any(m._forward_hooks for m in net.modules())
    assert all(id(v) == before[n][0] and torch.equal(v, before[n][1]) for n, v in entries(net).items())
