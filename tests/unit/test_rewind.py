"""After every removal the survivors are what they were at one point of the run, bit for bit."""

import copy

import pytest
import torch
from fairseq.optim.adam import Adam
from one_layer import Training

from fairseq_prune.pruning.times import Position

OPTIONS = {"method": "imp", "target": 0.75, "start": "3up", "end": "7up", "every": "2up", "rewind": "2up"}


def test_survivors_go_back_and_the_last_round_trains_on():
    training = Training(momentum=0.9, **OPTIONS)
    weights, moments, gone = [], [], []
    for update in range(10):
        weights.append(training.weight)
        moments.append(
            training.optimizer.optimizer.state[training.model.weight].get("momentum_buffer", torch.zeros(6, 8)).clone()
        )
        training.pruner.before_update(training.optimizer, Position(0, update))
        if update in (3, 5, 7):
            keep = training.pruner.masks.get("weight", torch.ones(6, 8, dtype=torch.bool))
            gone.append(int((~keep).sum()))
            momentum = training.optimizer.optimizer.state[training.model.weight]["momentum_buffer"]
            if gone[-1]:
                assert torch.equal(training.weight, weights[2] * keep) and torch.equal(momentum, moments[2] * keep)
        else:
            assert torch.equal(training.weight, weights[-1])
        training.step()
    assert gone == [0, 24, 36] and not training.pruner._rewind._values
    keep = training.pruner.masks["weight"]
    assert not torch.equal(training.weight, weights[2] * keep) and not training.weight[~keep].any()


ADAMS = {"fairseq": Adam, "torch": torch.optim.Adam, "adagrad": torch.optim.Adagrad}


@pytest.mark.parametrize("point", [0, 2])
@pytest.mark.parametrize("kind", ADAMS)
def test_steps_from_the_point_are_those_that_were_taken_there(kind, point):
    """With gradients that do not depend on the weights: steps are counted from the point again, also when resumed."""
    training = Training(**{**OPTIONS, "rewind": f"{point}up", "end": "5up", "target": 0.25})
    training.optimizer.optimizer = ADAMS[kind](training.model.parameters(), lr=0.1)
    gradient = torch.randn(6, 8, generator=torch.Generator().manual_seed(1))
    weights = []
    for update in range(7):
        if update == 4:
            training.pruner.load_state(copy.deepcopy(training.pruner.state()))
        weights.append(training.weight)
        training.step(loss=lambda weight: (weight * gradient).sum())
    keep = training.pruner.masks["weight"]
    assert int((~keep).sum()) == 12
    # the event was before update 5, which then took the step of the point
    assert torch.equal(weights[6], weights[point + 1] * keep)
    assert torch.equal(training.weight, weights[point + 2] * keep)


@pytest.mark.parametrize("stop", [1, 2, 3, 6])
def test_resumes_to_the_same_bits(stop):
    one = Training(momentum=0.9, **OPTIONS)
    for _ in range(stop):
        one.step()
    other = one.resumed()
    other.optimizer.optimizer.load_state_dict(copy.deepcopy(one.optimizer.optimizer.state_dict()))
    for _ in range(10 - stop):
        one.step()
        other.step()
        assert torch.equal(one.weight, other.weight)


@pytest.mark.parametrize("options, message", [
    ({"rewind": "4up"}, "--prune-rewind 4up: must not come after --prune-start, give e.g. 3up"),
    ({"rewind": "1ep"}, "--prune-rewind 1ep: must not come after"),
    ({"rewind": "soon"}, "--prune-rewind soon: cannot read"),
    ({"method": "admm", "end": "7up", "schedule": "reselect"}, "--prune-rewind 2up: is not for --prune-method admm"),
])  # fmt: skip
def test_bad_input(options, message):
    with pytest.raises(ValueError, match=message):
        Training(**{**OPTIONS, **options})
