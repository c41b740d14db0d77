"""What calibration sees of a model's inputs, layer by layer, and in what order."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from fairseq_prune.engine import calibrate
from fairseq_prune.pruning.calibration.lockstep import Walk, count_uses


class Net(nn.Module):
    """Layers of all kinds, one after the other."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(5)
        self.conv, self.depthwise = nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2), nn.Conv2d(6, 6, 3, groups=6)
        self.lstm, self.out = nn.LSTM(6, 5), nn.Linear(5, 3)
        self.double()

    def forward(self, images):
        features = self.depthwise(F.relu(self.conv(images))).mean(3).permute(2, 0, 1)
        return self.out(self.lstm(features)[0])


IMAGES = [torch.randn(n, 4, 9, 9, generator=torch.Generator().manual_seed(n), dtype=torch.float64) for n in (3, 2)]


def weights_of(net):
    return {name: p for name, p in net.named_parameters() if p.dim() > 1}


def walk(net, batches=IMAGES, paired=False, **how):
    net.eval()
    weights = weights_of(net)
    with torch.backends.mkldnn.flags(enabled=False):
        yield from Walk(weights, net, batches, count_uses(weights, net, batches[0][:1]), paired, **how)


def test_order_and_uses():
    net = Net()
    names = [name for name, _ in walk(net)]
    assert names == [*(f"{n}.weight" for n in ("conv", "depthwise")), "lstm.weight_ih_l0", "lstm.weight_hh_l0",
                     "out.weight"]  # fmt: skip
    uses = count_uses(weights_of(net), net, IMAGES[0])
    assert uses["lstm.weight_hh_l0"] == 3 and uses["lstm.weight_ih_l0"] == uses["conv.weight"] == 1


def test_later_layers_see_what_earlier_ones_have_become():
    """Norms against hooks on a net that is pruned layer by layer by hand; the recurrent one against its states."""
    net, by_hand, dense = Net(), Net(), dict(walk(Net()))
    for name, inputs in walk(net):
        expected = squares_by_hand(by_hand, name)
        assert torch.allclose(inputs.squares, expected, rtol=1e-9), name
        if name != "conv.weight":
            assert not torch.allclose(dense[name].squares, expected, rtol=1e-3)  # control: of unpruned layers
        for one in (net, by_hand):
            one.get_parameter(name).data[1::2] = 0.0


def seen_by(layer, net):
    """Input and output of a layer, for each of the batches."""
    seen = []
    hook = net.get_submodule(layer).register_forward_hook(lambda m, given, put: seen.append((given[0], put)))
    with torch.no_grad():
        [net(images) for images in IMAGES]
    hook.remove()
    return seen


def squares_by_hand(net, name):
    layer, total = name.split(".")[0], 0
    for given, put in seen_by(layer, net):
        if name.endswith("hh_l0"):
            states = torch.cat([torch.zeros_like(put[0][:1]), put[0][:-1]])
            total = total + states.flatten(0, 1).square().sum(0, keepdim=True)
        elif layer in ("conv", "depthwise"):
            total = total + patches_by_hand(net.get_submodule(layer), given)
        else:
            total = total + given.flatten(0, 1).square().sum(0, keepdim=True)
    return total


def patches_by_hand(conv, images):
    """The squared inputs of each tap, from the convolution of squares with kernels of a single one."""
    each = conv.in_channels // conv.groups
    found = torch.zeros(conv.groups, 9, each, dtype=torch.float64)
    for tap in range(9):
        kernel = torch.zeros(conv.in_channels, 1, 9, dtype=torch.float64)
        kernel[:, :, tap] = 1
        kernel = kernel.view(-1, 1, 3, 3)
        sums = F.conv2d(images.square(), kernel, None, conv.stride, conv.padding, groups=conv.in_channels).sum(
            (0, 2, 3)
        )
        found[:, tap] = sums.view(conv.groups, each)
    return found.flatten(1)


@pytest.mark.parametrize("width", [1, 2])
def test_a_weight_that_is_used_the_other_way_round_too(width):
    """As the tied projections of adaptive embeddings; of one column it has the same strides either way."""

    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.out = nn.Linear(width, 4, bias=False).double()

        def forward(self, rows):
            return F.linear(self.out(rows), self.out.weight.t())

    rows = torch.randn(5, width, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    ((name, inputs),) = walk(Tied(), [rows])
    assert name == "out.weight" and torch.allclose(inputs.squares, rows.square().sum(0, keepdim=True))


def test_products_of_pairs_multiply_as_the_layer_does():
    """Of a linear layer: the norm of its outputs is that by the products."""
    net = Net()
    (inputs,) = (i for name, i in walk(net, paired=True) if name == "out.weight")
    with torch.no_grad():
        outputs = torch.cat([(net(images) - net.out.bias).flatten(0, 1) for images in IMAGES])
    weight = net.out.weight.detach()
    assert float((weight @ inputs.products[0] @ weight.T).trace()) == pytest.approx(float(outputs.square().sum()))


def test_two_ranks_sum_what_each_has_and_one_may_have_nothing():
    """One after the other: this rank's sums, with the other's added by hand."""
    net = Net()
    alone = {name: inputs.squares for name, inputs in walk(net)}
    halves = [{name: inputs.squares for name, inputs in walk(net, [images])} for images in IMAGES]
    assert all(torch.allclose(alone[name], halves[0][name] + halves[1][name]) for name in alone)
    weights = weights_of(net)
    groups = (2, 6, 1, 1, 1)  # of the inputs of each, which the others have; at their turns
    said = iter([number for place, count in enumerate(groups) for number in (place, -count)])
    idle = Walk(weights, net, [], count_uses(weights, net, IMAGES[0]), False, lambda mine: next(said))
    assert [name for name, _ in idle] == list(weights)  # what others wait for


class Loop(nn.Module):
    """Goes on by the same weight as many times as a batch has columns."""

    def __init__(self):
        super().__init__()
        self.again = nn.Linear(4, 4, bias=False)

    def forward(self, steps):
        state = torch.ones(len(steps), 4)
        for column in steps.T:
            state = self.again(state) + column.unsqueeze(1)
        return state


def test_loops_are_counted_where_they_are_longest():
    """A first batch of a single step does not hide that others have more."""
    torch.manual_seed(3)
    net, batches = Loop(), [{"x": torch.rand(2, 1)}, {"x": torch.rand(3, 4)}]
    criterion = nn.Module()
    criterion.forward = lambda model, sample: model(sample["x"])
    ((_, found),) = calibrate.inputs(net, criterion, batches)
    seen = []
    hook = net.again.register_forward_pre_hook(lambda _, given: seen.append(given[0].detach()))
    [net(batch["x"]) for batch in batches]
    hook.remove()
    assert len(seen) == 5 and found.rows == 2 + 4 * 3
    assert torch.allclose(found.squares[0], torch.cat(seen).square().sum(0))


class Branches(nn.Module):
    """As an adaptive softmax: what a weight multiplies depends on the words of a batch."""

    def __init__(self):
        super().__init__()
        self.first, self.rare = nn.Linear(4, 4, bias=False), nn.Linear(4, 3, bias=False)
        self.last, self.never = nn.Linear(4, 2, bias=False), nn.Linear(4, 2, bias=False)

    def forward(self, rows):
        state = self.first(rows)
        if rows.sum() < 0:
            self.rare(state[:2]), self.rare(state[2:])
        return self.last(state)


def test_weights_that_only_some_batches_multiply():
    torch.manual_seed(4)
    net, common, rare = Branches(), torch.rand(3, 4), -torch.rand(5, 4)
    weights = weights_of(net)
    found = dict(Walk(weights, net, [common, rare], count_uses(weights, net, common), False))
    assert list(found) == ["first.weight", "rare.weight", "last.weight"] and found["rare.weight"].rows == 5
    assert torch.allclose(found["rare.weight"].squares[0], net.first(rare).detach().square().sum(0))
    assert found["last.weight"].rows == 8


def test_an_error_of_the_model_comes_out():
    net = Net()
    net.out.forward = lambda x: 1 / 0
    with pytest.raises(ZeroDivisionError):
        list(walk(net))
