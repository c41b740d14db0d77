"""After every removal the survivors are what they were at one point of the run, bit for bit."""

import copy

import pytest
import torch
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
