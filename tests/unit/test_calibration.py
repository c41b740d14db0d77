"""Wanda, RIA and SparseGPT on one layer, against the formulas written out; and what is seen of a model's inputs."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from fairseq_prune.engine import calibrate
from fairseq_prune.pruning.calibration.inputs import Inputs, as_matrix, as_weight
from fairseq_prune.pruning.calibration.lockstep import Walk, count_uses
from fairseq_prune.pruning.calibration.reconstruct import DAMPING, inverse_factor, reconstruct
from fairseq_prune.pruning.calibration.worth import WORTHS
from fairseq_prune.pruning.selecting.by_columns import OfEvery, Share
from fairseq_prune.pruning.selecting.outputs import ranks_in_rows


def random(*shape, seed=1):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


X, W = random(40, 10) @ random(10, 10, seed=2), random(6, 10, seed=3)  # inputs that depend on each other
X[:, 4] *= 5  # as outliers of language models
HESSIAN = X.T @ X


def inputs_of(rows, paired=True):
    found = Inputs.none(rows, 1, rows.shape[1], paired)
    for part in rows.split(15):
        found.add(part.unsqueeze(0))
    return found


def scored(importance, weight=W, rows=X):
    return WORTHS[importance].score(weight.unsqueeze(0), inputs_of(rows))[0]


def test_wanda_by_hand():
    for i in range(6):
        for j in range(10):
            by_hand = abs(W[i, j]) * (sum(x**2 for x in X[:, j]) / 40) ** 0.5  # the published scaler is a mean, too
            assert scored("wanda")[i, j] == pytest.approx(float(by_hand))


def test_ria_by_hand():
    size = W.abs()
    for i in range(6):
        for j in range(10):
            share = size[i, j] / size[i].sum() + size[i, j] / size[:, j].sum()
            by_hand = share * ((X[:, j] ** 2).sum() / 40) ** 0.25  # the root of the norm
            assert scored("ria")[i, j] == pytest.approx(float(by_hand))


def inverse_of_rest(column):
    """The inverse Hessian of the weights from a column on; those before are settled."""
    damped = HESSIAN + DAMPING * HESSIAN.diagonal().mean() * torch.eye(10, dtype=torch.float64)
    return torch.inverse(damped[column:, column:])


def naive_obs(keep_of, block):
    """Optimal brain surgeon, weight by weight, inverting anew for each (Hassibi & Stork 1993, eq. 5)."""
    weight, keep = W.clone(), torch.ones_like(W, dtype=torch.bool)
    for start in range(0, 10, block):
        those = range(start, min(start + block, 10))
        scores = torch.stack([weight[:, c] ** 2 / inverse_of_rest(c)[0, 0] for c in those], 1)
        keep[:, start : those.stop] = keep_of(scores, slice(start, those.stop))
        for c in those:
            inverse = inverse_of_rest(c)
            for row in range(6):
                if not keep[row, c]:
                    weight[row, c:] = weight[row, c:] - weight[row, c] / inverse[0, 0] * inverse[:, 0]
    return keep, weight * keep


@pytest.mark.parametrize("step, block", [(128, 16), (128, 4), (4, 4), (4, 9), (8, 2), (3, 2)])
def test_sparsegpt_is_the_optimal_brain_surgeon(step, block):
    """However many columns are chosen from at once, and after however many the others hear of it."""
    factor, keep_all = inverse_factor(HESSIAN[None]), torch.ones(6, 10, dtype=torch.bool)
    keep, weight = reconstruct(W[None], factor, Share(33, keep_all), step, block)
    by_hand, expected = naive_obs(Share(33, keep_all), min(step, 10))
    assert torch.equal(keep[0], by_hand) and int((~keep).sum()) == 33
    assert torch.allclose(weight[0], expected, atol=1e-9)
    assert not torch.allclose(weight[0], W * by_hand, atol=1e-2)  # control: what stays has changed


def test_n_of_m_of_sparsegpt():
    weight, keep_all = W[:, :8], torch.ones(6, 8, dtype=torch.bool)
    keep, new = reconstruct(weight[None], inverse_factor(HESSIAN[None, :8, :8]), OfEvery(2, 4, keep_all), step=4)
    assert (keep.view(6, 2, 4).sum(2) == 2).all()

    def error(w):
        return float(((X[:, :8] @ (w - weight).T) ** 2).sum())

    by_size = OfEvery(2, 4, keep_all)
    masked = torch.cat([by_size(weight[:, c : c + 4].abs(), slice(c, c + 4)) for c in (0, 4)], 1)
    assert error(new[0]) < 0.8 * error(weight * keep[0]) and error(new[0]) < 0.8 * error(weight * masked)


def test_inputs_that_never_come_and_those_that_depend_on_each_other():
    products = HESSIAN.clone()
    products[3] = products[:, 3] = 0.0
    products[7], products[:, 7] = products[6], products[:, 6]  # singular
    assert inverse_factor(products[None].float()).isfinite().all()
    assert inverse_factor(torch.zeros(1, 3, 3)).isfinite().all()
    with pytest.raises(ValueError, match="no finite numbers"):
        inverse_factor(products[None] * torch.nan)


@pytest.mark.parametrize("size", [1e-4, 1.0, 1e4])
def test_what_meets_no_input_is_worth_least_whatever_their_size(size):
    rows = X * size
    rows[:, 2] = 0.0
    scores = scored("obs", torch.ones_like(W), rows)
    damping = DAMPING * float((rows**2).sum(0).mean())
    assert float(scores[0, 2]) == pytest.approx(damping, rel=1e-6) and scores[0].argmin() == 2


@pytest.mark.parametrize("budget", [20, 33, 59])
def test_shares_are_exact_whatever_is_gone_before(budget):
    for seed in range(20):
        before = torch.rand(6, 10, generator=torch.Generator().manual_seed(seed)) > 0.3
        before[:, 7:] &= seed % 2 == 0  # all of the last columns
        budget = max(budget, int((~before).sum()))
        share, scores = Share(budget, before), random(6, 10, seed=seed)
        keep = torch.cat([share(scores[:, c : c + 4], slice(c, min(c + 4, 10))) for c in (0, 4, 8)], 1)
        assert int((~keep).sum()) == budget and not (keep & ~before).any()


def test_every_output_loses_its_part():
    scores = random(5, 7)
    ranks = ranks_in_rows(scores, None)
    assert torch.equal(ranks.argsort(1), scores.argsort(1)) and ranks.max() == 6
    before = torch.ones(5, 7, dtype=torch.bool)
    before[0, 6] = False
    assert ranks_in_rows(scores, before)[0, 6] == 0


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


IMAGES = [random(3, 4, 9, 9, seed=6), random(2, 4, 9, 9, seed=7)]


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


def test_products_of_pairs_multiply_as_the_layer_does():
    """Of a linear layer: the norm of its outputs is that by the products."""
    net = Net()
    (inputs,) = (i for name, i in walk(net, paired=True) if name == "out.weight")
    with torch.no_grad():
        outputs = torch.cat([(net(images) - net.out.bias).flatten(0, 1) for images in IMAGES])
    weight = net.out.weight.detach()
    assert float((weight @ inputs.products[0] @ weight.T).trace()) == pytest.approx(float(outputs.square().sum()))


def test_matrices_and_back():
    weight = random(4, 3, 2, 2)
    matrix = as_matrix(weight)
    assert torch.equal(matrix[1, :3], weight[1, :, 0, 0]) and torch.equal(as_weight(matrix, weight.shape), weight)
    vector = random(5)  # a bias, if asked for: by its sizes, in one row
    assert as_matrix(vector).shape == (1, 5) and torch.equal(as_weight(as_matrix(vector), vector.shape), vector)


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
    ((_, found),) = calibrate.inputs(dict(net.named_parameters()), net, criterion, batches)
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
