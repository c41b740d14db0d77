"""Scores from derivatives of the loss, against autograd by hand and finite differences; scoring leaves no trace."""

import copy

import pytest
import torch
from fairseq.modules.checkpoint_activations import checkpoint_wrapper
from one_layer import Optimizer
from torch import nn
from torch.nn import functional as F

from fairseq_prune.engine.evidence import TEMPERATURE, gather
from fairseq_prune.engine.make_plan import make_plan
from fairseq_prune.engine.pruner import Pruner
from fairseq_prune.pruning.importance import IMPORTANCES
from fairseq_prune.pruning.schedule import Schedule
from fairseq_prune.pruning.times import Position, When
from fairseq_prune.pruning.units import Row, Weight

BATCHES = [
    {
        "x": torch.randn(size, 6, generator=torch.Generator().manual_seed(size), dtype=torch.float64),
        "y": torch.arange(size) % 4,
    }
    for size in (8, 5)
]


class Net(nn.Module):
    """Two layers with a norm and dropout, both of which act differently in training."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.first, self.norm, self.last = nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Linear(8, 4)
        self.drop, self.gates, self.idle = nn.Dropout(0.5), torch.ones(8), nn.Linear(2, 2)
        self.norm.running_mean.normal_()
        self.double()

    def forward(self, x):
        hidden = self.drop(F.leaky_relu(self.norm(self.first(x)), 0.05))
        return self.last(hidden * self.gates.to(x))


class Criterion(nn.Module):
    """As fairseq's: a sum, its size and a log."""

    def forward(self, model, sample):
        return F.cross_entropy(model(sample["x"]), sample["y"], reduction="sum"), len(sample["y"]), {}


def loss(net, temperature=1.0):
    return sum(F.cross_entropy(net(b["x"]) / temperature, b["y"]) for b in BATCHES)


def test_sensitivity_of_weights_is_the_derivative_by_their_connections():
    net = Net()
    found = gather("sensitivity", net, Criterion(), BATCHES)
    net.eval()
    gradients = torch.autograd.grad(loss(net), [net.first.weight, net.last.weight])
    for name, gradient in zip(("first.weight", "last.weight"), gradients, strict=True):
        assert torch.allclose(found[name].double(), net.get_parameter(name) * gradient, atol=1e-6)
    connections = torch.ones_like(net.first.weight, requires_grad=True)
    weights = {"first.weight": connections * net.first.weight.detach()}
    total = sum(F.cross_entropy(torch.func.functional_call(net, weights, (b["x"],)), b["y"]) for b in BATCHES)
    (by_connection,) = torch.autograd.grad(total, connections)
    score = IMPORTANCES["sensitivity"](found["first.weight"], Weight())
    assert torch.allclose(score.double(), by_connection.abs().flatten(), atol=1e-6)
    assert not found["idle.weight"].any()  # nothing depends on it


def test_sensitivity_of_nodes_is_the_derivative_by_gates_on_what_they_put_out():
    net = Net()
    found = gather("sensitivity", net, Criterion(), BATCHES)
    by_readers = IMPORTANCES["sensitivity"](found["last.weight"].T, Row())
    net.eval()
    net.gates = torch.ones(8, dtype=torch.float64, requires_grad=True)
    (by_gates,) = torch.autograd.grad(loss(net), net.gates)
    assert torch.allclose(by_readers.double(), by_gates.abs(), atol=1e-6)
    magnitudes = found["last.weight"].T.abs().sum(1)
    assert not torch.allclose(by_readers, magnitudes, atol=1e-3)  # control: signs count


def test_fisher_is_half_the_squares_of_every_batch():
    net = Net()
    found = gather("squares", net, Criterion(), BATCHES)
    net.eval()
    weight = net.first.weight
    by_batch = [torch.autograd.grad(F.cross_entropy(net(b["x"]), b["y"]), weight)[0] for b in BATCHES]
    squares = sum((weight.detach() * gradient).square() for gradient in by_batch)
    assert torch.allclose(found["first.weight"].double(), squares, atol=1e-8)
    assert torch.allclose(IMPORTANCES["fisher"](found["first.weight"], Row()).double(), squares.sum(1) / 2, atol=1e-8)
    cancelled = (weight.detach() * sum(by_batch)).square().sum(1) / 2
    assert not torch.allclose(squares.sum(1) / 2, cancelled, rtol=0.1)  # control: batches would cancel


def test_taylor_is_the_square_of_a_gates_derivative_in_every_batch():
    net = Net()

    def by_readers(products):
        return {"units of hidden": products["last.weight"].sum(0)}

    found = gather("squares_of_units", net, Criterion(), BATCHES, by_readers)
    net.eval()
    net.gates = torch.ones(8, dtype=torch.float64, requires_grad=True)
    by_batch = [torch.autograd.grad(F.cross_entropy(net(b["x"]), b["y"]), net.gates)[0] for b in BATCHES]
    squares = sum(gradient.square() for gradient in by_batch)
    assert torch.allclose(found["units of hidden"].double(), squares, atol=1e-8)
    assert not torch.allclose(squares, sum(by_batch).square(), rtol=0.1)  # control: batches would cancel


@pytest.mark.parametrize("units, worth", [("row", lambda p: p.sum(1)), ("weight", lambda p: p.flatten())])
def test_taylor_chooses_the_units_of_tensors(units, worth):
    """Those whose weights times gradients sum to least; here that is known, and squares of weights say otherwise."""
    net = Linear().float()
    net.weight.data = torch.tensor([[3.0, -3.0], [1.0, 1.0], [2.0, -1.9], [0.5, 0.6]])
    products = net.weight.detach()
    evidence = {"weight": torch.rand(4, 2)}  # what single weights are worth is not asked
    pruner = Pruner(net, make_plan({"method": "taylor", "units": units, "target": 0.5}), gather=lambda *_: evidence)
    evidence |= {name: value.square() for name, value in pruner.targets.unit_sums({"weight": products}).items()}
    pruner.before_update(Optimizer(torch.optim.SGD(net.parameters(), lr=0.1)), Position(0, 0))
    removed = ~pruner.masks["weight"]
    expected = torch.zeros(len(worth(products)), dtype=torch.bool)
    expected[worth(products).square().argsort(stable=True)[: len(expected) // 2]] = True
    assert torch.equal(removed.all(1) if units == "row" else removed.flatten(), expected)


@pytest.mark.parametrize("kind", ["sensitivity", "hessian_gradient"])
def test_activations_that_are_recomputed(kind):
    """The same as of a model that keeps them; which has no derivatives by name otherwise."""
    found, net = gather(kind, Net(), Criterion(), BATCHES), Net()
    wrapped = checkpoint_wrapper(net.last).forward
    again = gather(kind, net, Criterion(), BATCHES)
    assert net.last.forward is wrapped and all(torch.equal(value, again[name]) for name, value in found.items())
    with pytest.raises(RuntimeError, match="Checkpointing is not compatible"):
        torch.autograd.grad(loss(net), [net.first.weight])


def test_the_hessian_times_the_gradient_by_finite_differences():
    """The loss is that of training but for dropout: batch norm goes by the batch, and follows nothing."""
    found = gather("hessian_gradient", Net(), Criterion(), BATCHES)
    net = Net().eval()
    net.norm.train().track_running_stats = False
    parameters = dict(net.named_parameters())
    used = [name for name in parameters if not name.startswith("idle")]
    gradient = torch.autograd.grad(loss(net, TEMPERATURE), [parameters[name] for name in used])

    def moved(step):
        other = copy.deepcopy(net)
        mine = dict(other.named_parameters())
        for name, g in zip(used, gradient, strict=True):
            mine[name].data.add_(g, alpha=step)
        return torch.autograd.grad(loss(other, TEMPERATURE), [mine[name] for name in used])

    for name, up, down in zip(used, moved(1e-3), moved(-1e-3), strict=True):
        product = parameters[name].detach() * (up - down) / 2e-3
        size = float(product.abs().max()) if name != "first.bias" else 1e-9  # which batch norm takes away
        assert torch.allclose(found[name].double(), product, rtol=1e-3, atol=1e-3 * size)
    assert found["first.weight"].abs().max() > 1e-7
    assert (net(BATCHES[0]["x"]) - Net().eval()(BATCHES[0]["x"])).abs().max() > 0.1  # control: not eval mode


class Linear(nn.Module):
    """Outputs are what it is given times its weights, so that a squared error is quadratic in them."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 6, generator=torch.Generator().manual_seed(3), dtype=torch.float64))

    def forward(self, x):
        return x @ self.weight.T


class SquaredError(nn.Module):
    def forward(self, model, sample):
        wanted = F.one_hot(sample["y"], 4).to(sample["x"]) / 50  # of the size of cooled outputs
        return (model(sample["x"]) - wanted).square().sum() / 2, len(sample["y"]), {}


def test_grasp_of_a_quadratic_by_hand():
    """Gradient X'(XW/T - Y)/T and Hessian X'X/T^2: the half is removed without which the gradient's norm grows most."""
    net, batch = Linear(), BATCHES[0]
    x, y = batch["x"], F.one_hot(batch["y"], 4).double() / 50

    def gradient(weight):
        return (x @ weight.T / TEMPERATURE - y).T @ x / TEMPERATURE / len(x)

    weight = net.weight.detach().clone()
    product = gradient(weight) @ (x.T @ x) / TEMPERATURE**2 / len(x)
    scores = (weight * product).flatten()
    by_hand = torch.ones(24, dtype=torch.bool)
    by_hand[scores.argsort()[:12]] = False
    gathered = lambda model, kind, event: gather(kind, model, SquaredError(), [batch])  # noqa: E731
    pruner = Pruner(net, make_plan({"method": "grasp", "target": 0.5}), gather=gathered)
    pruner.check_start()
    pruner.before_update(type("O", (), {"optimizer": torch.optim.SGD(net.parameters(), lr=0.1)})(), Position(0, 0))
    keep = pruner.masks["weight"]
    assert torch.equal(keep, by_hand.view(4, 6)) and TEMPERATURE == 200
    before = gradient(weight).square().sum()
    without_removed, without_kept = (
        gradient(weight - 1e-4 * weight * part).square().sum() - before for part in (~keep, keep)
    )
    assert without_removed > 0 > without_kept
    warm = weight * (((x @ weight.T - y).T @ x) @ (x.T @ x))  # control: temperature 1 keeps others
    assert set(warm.flatten().argsort()[:12].tolist()) != set(scores.argsort()[:12].tolist())


@pytest.mark.parametrize("kind", ["sensitivity", "hessian_gradient"])
def test_scoring_leaves_no_trace(kind):
    net, criterion = Net(), Criterion()
    net.norm.eval()
    before, state, random = copy.deepcopy(net.state_dict()), torch.get_rng_state(), [m.training for m in net.modules()]
    first = gather(kind, net, criterion, BATCHES)
    assert [m.training for m in net.modules()] == random and torch.equal(torch.get_rng_state(), state)
    assert all(p.grad is None for p in net.parameters()) and not net._forward_hooks
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name])
    again = gather(kind, net, criterion, BATCHES)
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_no_batches():
    with pytest.raises(ValueError, match=r"--prune-batches \(--srp-score-batches\): .* no batch to score with"):
        gather("sensitivity", Net(), Criterion(), [])


def fractions(target, steps, initial=0.0):
    schedule = Schedule("halving", When(0, "up"), steps=steps)
    assert schedule.num_events == schedule.events_by(0) == steps and list(schedule.due(0, steps)) == list(
        range(1, steps + 1)
    )
    return [schedule.fraction_at(event, initial, target) for event in range(1, steps + 1)]


def test_the_gap_halves():
    assert fractions(0.98, 5) == pytest.approx([0.49, 0.735, 0.8575, 0.91875, 0.98])
    assert fractions(0.3, 3) == pytest.approx([0.15, 0.225, 0.3])
    for target in (0.01, 0.5, 0.93, 0.999):
        for steps in (1, 2, 7):
            found = fractions(target, steps)
            assert found[-1] == target and found == sorted(set(found))
    assert fractions(0.9, 3, initial=0.7) == pytest.approx([0.8, 0.85, 0.9])
    assert fractions(0.9, 2, initial=0.3) == pytest.approx([0.6, 0.9])


def counting(net, kinds):
    def gathered(model, kind, event):
        kinds.append((kind, event))
        return gather(kind, model, Criterion(), BATCHES)

    return gathered


@pytest.mark.parametrize("method, events", [("snip", 1), ("snip_it", 5), ("grasp", 1)])
def test_before_training(method, events):
    """All events before the first update, each with scores of the net that the last one left; counts are exact."""
    net, kinds = Net(), []
    plan = make_plan({"method": method, "target": 0.9, "skip": "idle.*"})
    pruner = Pruner(net, plan, gather=counting(net, kinds))
    optimizer = type("Optimizer", (), {"optimizer": torch.optim.SGD(net.parameters(), lr=0.1)})()
    pruner.check_start()
    pruner.before_update(optimizer, Position(0, 0))
    assert not pruner.pending and [event for _, event in kinds] == list(range(1, events + 1))
    removed = sum(int((~keep).sum()) for keep in pruner.masks.values())
    assert removed == round(0.9 * (48 + 32)) and len(set(kinds)) == events
    pruner.before_update(optimizer, Position(0, 1))
    assert len(kinds) == events


def test_one_step_is_snip_and_more_are_not():
    def masks(**options):
        net = Net()
        pruner = Pruner(net, make_plan({"target": 0.8, "skip": "idle.*", **options}), gather=counting(net, []))
        pruner.check_start()
        pruner.before_update(type("O", (), {"optimizer": torch.optim.SGD(net.parameters(), lr=0.1)})(), Position(0, 0))
        return pruner.masks

    one, snip, five = masks(method="snip_it", steps="1"), masks(method="snip"), masks(method="snip_it")
    assert all(torch.equal(one[name], snip[name]) for name in snip)
    assert not all(torch.equal(five[name], snip[name]) for name in snip)


@pytest.mark.parametrize("options, message", [
    ({"method": "snip_it", "steps": "0"}, "--prune-steps 0: give at least 1"),
    ({"method": "snip_it", "steps": "x"}, "--prune-steps x: give a whole number"),
    ({"method": "snip", "steps": "5"}, "--prune-steps 5: --prune-schedule once has none"),
    ({"method": "snip_it", "steps": "5", "end": "9up"}, "--prune-steps 5: all take place at --prune-start; leave out"),
    ({"method": "admm", "importance": "sensitivity", "freeze": "9up"}, "--prune-importance sensitivity: is not for"),
])  # fmt: skip
def test_bad_input(options, message):
    with pytest.raises(ValueError, match=message):
        make_plan({"target": 0.5, **options})
