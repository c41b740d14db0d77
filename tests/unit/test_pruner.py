"""The pruner's way through a schedule: where it starts, how it resumes, and which masks it keeps."""

import copy
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn.utils import weight_norm

from fairseq_prune.engine import removal
from fairseq_prune.engine.make_plan import make_plan
from fairseq_prune.engine.pruner import Pruner
from fairseq_prune.pruning.selecting import Selection
from fairseq_prune.pruning.times import Position

GRADUAL = {"method": "magnitude", "target": 0.8, "schedule": "cubic", "end": "10up", "every": "1up"}


def optimizer():
    """Plain fp32 before its first step: no masters, no moments."""
    return SimpleNamespace(optimizer=SimpleNamespace(state={}))


def model():
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(30, 20), nn.Linear(20, 20))  # 1000 prunable weights


def start(weights=None, seed=1, **plan):
    """A pruner of a new model that loads weights."""
    net = model()
    pruner = Pruner(net, make_plan(plan, seed))
    if weights:
        net.load_state_dict(weights)
    return net, pruner


def removed_at(pruner, updates):
    """Weights removed after each event; values and masks agree."""
    counts = []
    for update in updates:
        pruner.before_update(optimizer(), Position(0, update))
        counts.append(sum(int((p.parameter == 0).sum()) for p in pruner.targets.prunables))
        assert counts[-1] == round(pruner.fraction_removed * 1000)
    return counts


def half_gone(**plan):
    """Weights of which 50 % were removed, and their masks with them."""
    net, pruner = start(method="magnitude", target=0.5, **plan)
    removed_at(pruner, [0])
    return net.state_dict()


def cubic(initial, target):
    return [round(1000 * (initial + (target - initial) * (1 - (1 - event / 10) ** 3))) for event in range(11)]


def test_a_gradual_schedule_starts_from_what_is_gone():
    assert removed_at(start(**GRADUAL)[1], range(11)) == cubic(0.0, 0.8)  # control: of a dense model
    _, pruner = start(half_gone(), **GRADUAL)
    pruner.check_start()
    assert removed_at(pruner, range(11)) == cubic(0.5, 0.8)
    assert (pruner.state()["initial"], pruner.events_done) == ({"all": 0.5}, 11)


def test_every_group_starts_from_its_own():
    """Half of all weights is 40 % of one layer and 65 % of the other."""
    _, pruner = start(half_gone(scope="global"), **GRADUAL, scope="layer")
    gone = {name: int((~keep).sum()) / keep.numel() for name, keep in pruner.masks.items()}
    pruner.before_update(optimizer(), Position(0, 5))
    assert pruner.state()["initial"] == pytest.approx(gone) and len(set(gone.values())) == 2
    for name, keep in pruner.masks.items():
        assert int((~keep).sum()) == round((gone[name] + (0.8 - gone[name]) * 0.875) * keep.numel())


def test_a_resumed_run_goes_on_from_the_same_start():
    net, pruner = start(half_gone(), **GRADUAL)
    first = removed_at(pruner, range(4))
    _, resumed = start(net.state_dict(), **GRADUAL)
    resumed.load_state(pruner.state())
    assert first + removed_at(resumed, range(4, 11)) == cubic(0.5, 0.8)
    _, afresh = start(net.state_dict(), **GRADUAL)
    assert removed_at(afresh, range(4, 11)) != cubic(0.5, 0.8)[4:]  # control: without its state


def test_a_resumed_run_keeps_its_seed():
    plan = {**GRADUAL, "method": "random"}
    net, pruner = start(seed=1, **plan)
    removed_at(pruner, range(4))
    weights, state = copy.deepcopy(net.state_dict()), pruner.state()
    removed_at(pruner, [4])

    def resumed(state):
        _, other = start(weights, seed=2, **plan)
        other.load_state(state)
        removed_at(other, [4])
        return other

    assert (state["seed"], resumed(state).state()["seed"]) == (1, 1)
    assert all(torch.equal(keep, pruner.masks[name]) for name, keep in resumed(state).masks.items())
    other = resumed({**state, "seed": 2})  # control: its own seed would choose others
    assert not all(torch.equal(keep, pruner.masks[name]) for name, keep in other.masks.items())


def test_a_resumed_run_has_the_same_plan():
    _, pruner = start(**GRADUAL)
    removed_at(pruner, range(2))
    with pytest.raises(ValueError, match="--prune-end|--prune-schedule"):
        start(**{**GRADUAL, "end": "12up"})[1].load_state(pruner.state())


@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm` is deprecated:FutureWarning")
def test_a_removed_slice_takes_its_direction_mask_along():
    """First an element of row 0, then the row: only its scale is masked then, no stale mask of v is kept."""
    net = weight_norm(nn.Linear(4, 3))
    net.weight_v.data.fill_(1.0)
    net.weight_v.data[0] = torch.tensor([0.1, 0.2, 0.3, 0.4])
    net.weight_g.data.copy_(net.weight_v.norm(dim=1, keepdim=True))
    pruner = Pruner(net, make_plan({**GRADUAL, "schedule": "linear", "target": 4 / 12, "end": "4up"}))
    masks = []
    for update in range(5):
        pruner.before_update(optimizer(), Position(0, update))
        masks.append({name: keep.tolist() for name, keep in pruner.masks.items()})
        assert round(pruner.fraction_removed * 12) == update
        assert net(torch.ones(4)).isfinite().all()
    row = [True] * 4
    assert masks[0] == {}
    assert masks[1] == {"weight_v": [[False, True, True, True], row, row]}
    assert masks[3] == {"weight_v": [[False, False, False, True], row, row]}
    assert masks[4] == {"weight_g": [[False], [True], [True]]}
    assert net.state_dict()._metadata[""]["prune_masks"].keys() == {"weight_g"}


def test_an_event_that_changes_no_mask_does_nothing(monkeypatch):
    _, pruner = start(half_gone(), **{**GRADUAL, "schedule": "linear", "target": 0.502, "end": "10up"})
    calls = []
    monkeypatch.setattr(removal, "forget_best", lambda: calls.append(pruner.events_done))
    assert removed_at(pruner, range(11)) == [500, 500, 500, 501, 501, 501, 501, 501, 502, 502, 502]
    assert calls == [4, 9]
    assert pruner.events_done == 11


def test_masks_are_used_where_the_weights_are():
    """A checkpoint is read on the CPU; the model may be elsewhere."""
    net = nn.Linear(4, 3, device="meta")
    pruner = Pruner(net)
    pruner.masked.adopt({"weight": torch.ones(3, 4, dtype=torch.bool).tril()})
    assert pruner.fraction_removed == 0.5
    pruner.after_step(optimizer(), Position(0, 0))
    assert pruner.masks["weight"].device == net.weight.device


def test_averages_begin_anew_where_weights_are_set_back():
    net, pruner = start(method="magnitude", target=0.5, start="2up", rewind="1up")
    average = model()
    pruner.before_update(optimizer(), Position(0, 1), average)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with torch.no_grad():
        for value in (*net.parameters(), *average.parameters()):
            value += 1
    pruner.before_update(optimizer(), Position(0, 2), average)
    assert pruner.fraction_removed == 0.5
    for name, value in average.state_dict().items():
        assert torch.equal(value, before[name] * pruner.masks.get(name, 1))


@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm` is deprecated:FutureWarning")
def test_a_removal_tells_of_what_else_it_changes():
    """Values that make up for what is removed, and scales of weight-normalised tensors; not what is only masked."""
    net = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 3), weight_norm(nn.Linear(3, 3)))
    pruner = Pruner(net, make_plan({"method": "magnitude", "target": 0.5}))
    masks = {p.name: torch.ones(p.parameter.shape).tril() > 0 for p in pruner.targets.prunables}
    assert masks.keys() == {"0.weight", "1.weight", "2.weight_v"}
    selection = Selection(masks, values={"1.weight": torch.full((3, 3), 7.0)})
    assert pruner.removal.mask(selection, pruner.targets.prunables, optimizer()) == {"1.weight", "2.weight_g"}
    assert net[1].weight.tolist() == [[7, 0, 0], [7, 7, 0], [7, 7, 7]]
