"""One group pruned alone, what that costs, and fractions at which all groups cost as much: by hand."""

import math

import pytest
import torch
from torch import nn

from fairseq_prune.deploy.probe import Probe
from fairseq_prune.deploy.prune import plan_at_once, prune_model
from fairseq_prune.engine.model_info import BY_FAMILY
from fairseq_prune.evaluate.load import evenly
from fairseq_prune.evaluate.sensitivity import Progress, equal_fractions, try_groups
from fairseq_prune.pruning.budget.equal_loss import Curve, equal_loss
from fairseq_prune.report.sensitivity import render_sensitivity


class Net(nn.Module):
    """What ``idle`` computes does not matter."""

    def __init__(self):
        super().__init__()
        self.first, self.idle = nn.Linear(4, 1, bias=False), nn.Linear(4, 1, bias=False)
        self.first.weight.data = torch.tensor([[4.0, -1, 2, -0.0]])
        self.idle.weight.data = torch.tensor([[1.0, 2, 3, 4]])

    def loss(self):
        x = torch.tensor([1.0, -1, 1, 1])
        return {"loss": 10 - float((self.first(x) + 0 * self.idle(x)).detach())}


def probe_of(net, **options):
    plan = plan_at_once({"method": "magnitude", "scope": "layer", "target": 0.5, **options}, 1)
    return Probe(net, plan, BY_FAMILY)


def bits(net):
    return {name: p.detach().view(torch.int32).tolist() for name, p in net.named_parameters()}


def tried(net, *targets, told=None):
    probe = probe_of(net)
    progress = Progress(
        (told if told is not None else []).append, "loss", net.loss()["loss"], clock=iter(range(99)).__next__
    )
    return probe, try_groups(probe, targets, net.loss, progress)


def test_a_layer_that_does_not_matter_and_one_that_does():
    net, told = Net(), []
    before = bits(net)
    _, (first, idle) = tried(net, 0.5, 0.75, told=told)
    assert [(t["removed"], t["growth"], t["loss"]) for t in first["trials"]] == [(2, 1.0, 4.0), (3, 3.0, 6.0)]
    assert [t["growth"] for t in idle["trials"]] == [0, 0]
    assert (first["sensitivity"], idle["sensitivity"], first["size"], first["removed"]) == (2.0, 0.0, 4, 0)
    assert bits(net) == before
    assert told[0] == "4 trials; loss of the model as it is: 3.0000"
    assert told[1:3] == [
        "1 of 4: first.weight 0.5, loss +1.0000; 0:03 left", "2 of 4: first.weight 0.75, loss +3.0000; 0:02 left",
    ]  # fmt: skip


def test_the_model_is_put_back_after_an_error():
    net = Net()
    before, probe = bits(net), probe_of(net)
    with pytest.raises(RuntimeError, match="no data"), probe.without("first.weight", 0.75):
        assert net.first.weight.tolist() == [[4, 0, 0, 0]]
        raise RuntimeError("no data")
    assert bits(net) == before


def test_what_is_removed_stays_removed():
    """Of 4 weights 2 are gone: a target of 0.25 changes nothing, 0.75 takes the next smallest."""
    net = Net()
    prune_model(net, {"method": "magnitude", "target": 0.5, "only": "first.weight"})
    probe, (first, _) = tried(net, 0.25, 0.75)
    assert probe.count("first.weight") == (2, 4) and first["removed"] == 2
    assert probe.count("idle.weight") == (0, 4)
    assert [(t["removed"], t["growth"]) for t in first["trials"]] == [(2, 0.0), (3, 2.0)]
    assert net.first.weight.tolist() == [[4, 0, 2, 0]]
    with probe.without("idle.weight", 0.5):
        assert net.first.weight.tolist() == [[4, 0, 2, 0]] and net.idle.weight.tolist() == [[0, 0, 3, 4]]


def test_fractions_meet_the_total_at_the_least_loss():
    """Of 8 weights 4: the idle layer gives all that was tried, 3, the other one 1."""
    net = Net()
    probe, groups = tried(net, 0.5, 0.75)
    fractions = equal_fractions(probe.selector, groups, 0.5)
    assert fractions == {"first.weight": 0.37, "idle.weight": 0.8}  # of 4 each, rounded: 1 and 3
    assert prune_model(net, {"method": "magnitude", "scope": "layer", "target": fractions}) == 0.5


def test_what_is_removed_already_counts_towards_the_total():
    """Of 8 weights 4, of which the one that matters has lost 2: what is gone costs nothing, the other gives 2."""
    net = Net()
    prune_model(net, {"method": "magnitude", "target": 0.5, "only": "first.weight"})
    probe, groups = tried(net, 0.75)
    fractions = equal_fractions(probe.selector, groups, 0.5)
    assert {name: round(4 * fraction) for name, fraction in fractions.items()} == {"first.weight": 2, "idle.weight": 2}


def counted(size):
    return lambda name, fraction: round(fraction * size)


def test_growths_are_equal():
    """Twice as steep, half as much: 0.2 and 0.4."""
    curves = {"a": Curve(0.0, [(0.5, 2.0), (0.9, 9.0)]), "b": Curve(0.0, [(0.5, 1.0), (0.9, 9.0)])}
    fractions = equal_loss(curves, 0.3, {"a": 1000, "b": 1000}, counted(1000))
    assert fractions == {"a": pytest.approx(0.2, abs=1e-3), "b": pytest.approx(0.4, abs=1e-3)}
    assert sum(round(1000 * fraction) for fraction in fractions.values()) == 600


@pytest.mark.parametrize("total", [0.123, 0.25, 0.5, 0.777, 0.9])
def test_the_total_is_met_at_most(total):
    """Also where units are large, curves are level, fall, or end early; layers alike leave one after the other."""
    curves = {
        "a": Curve(0.0, [(0.5, 0.0), (0.95, 0.0)]), "b": Curve(0.0, [(0.5, 1.0), (0.95, -1.0)]),
        "c": Curve(0.1, [(0.5, 1.0), (0.95, 3.0)]), "d": Curve(0.1, [(0.5, 1.0), (0.95, 3.0)]),
    }  # fmt: skip
    sizes = {"a": 100, "b": 60, "c": 40, "d": 40}

    def budget(name, fraction):
        return 4 * round(fraction * sizes[name] / 4)

    fractions = equal_loss(curves, total, sizes, budget)
    left = total * 240 - sum(budget(name, fraction) for name, fraction in fractions.items())
    assert 0 <= left < 4
    assert all(fractions[name] >= curve.start for name, curve in curves.items())


def test_layers_alike_lose_one_after_the_other():
    """5 of 20: at every growth both would lose as many, so one gets the last."""
    curves = dict.fromkeys("ab", Curve(0.0, [(0.9, 1.0)]))
    fractions = equal_loss(curves, 0.25, {"a": 10, "b": 10}, counted(10))
    assert sorted(round(10 * fraction) for fraction in fractions.values()) == [2, 3]


def test_a_level_curve_loses_first():
    curves = {"level": Curve(0.0, [(0.5, -0.3), (0.9, 0.0)]), "steep": Curve(0.0, [(0.9, 1.0)])}
    fractions = equal_loss(curves, 0.25, {"level": 100, "steep": 100}, counted(100))
    assert fractions == {"level": pytest.approx(0.5, abs=0.01), "steep": 0.0}


def test_a_loss_that_is_no_number_ends_a_curve():
    assert Curve(0.0, [(0.5, 1.0), (0.9, math.nan)]).highest == (0.5, 1.0)
    curves = {"a": Curve(0.0, [(0.5, 1.0), (0.9, math.inf)])}
    with pytest.raises(ValueError, match=r"--total 0.6: what was tried reaches from 0.0 to 0.5; give e.g. --total 0.5"):
        equal_loss(curves, 0.6, {"a": 10}, counted(10))


def test_batches_are_from_all_over_the_split():
    assert evenly(100, 4) == [12, 37, 62, 87] and evenly(3, 16) == [0, 1, 2]


def test_table():
    trials = [{"target": 0.5, "growth": 1.0}, {"target": 0.9, "growth": -0.25}]
    report = {
        "measure": "nll_loss", "units": "head", "targets": [0.5, 0.9], "dense": {"loss": 2.0, "nll_loss": 1.5},
        "groups": [{"name": "a", "size": 4, "sensitivity": 0.375, "trials": trials},
                   {"name": "b", "size": 1, "sensitivity": 0, "trials": []}],
    }  # fmt: skip
    assert [line.split() for line in render_sensitivity(report).splitlines()[:5]] == [
        ["head", "size", "0.5", "0.9", "sensitivity"], ["a", "4", "+1.0000", "-0.2500", "+0.3750"],
        ["b", "1", "-", "-", "-"], [], "as it is: loss 2.0000, nll_loss 1.5000".split(),
    ]  # fmt: skip
