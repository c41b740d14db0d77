"""Penalties that pull weights to zero before they are removed, by hand."""

import one_layer
import pytest
import torch
from one_layer import Training

from fairseq_prune.pruning.times import Position

HOYER = {"method": "hoyer_square", "end": "6up"}
FITTED = {"method": "group_lasso", "units": "row", "end": "6up"}  # as strong as its target needs
LASSO = FITTED | {"approach": {"prune_lambda": 0.1}}


def test_hoyer_by_hand():
    """The regulariser's gradient by autograd, behind the step, down to zero; what is small is removed."""
    training = Training(target="0.1abs", approach={"prune_lambda": 0.02}, momentum=0.9, **HOYER)
    velocity, zeros = torch.zeros(6, 8), 0
    for _ in range(6):
        before = training.weight
        seen, gradient = training.step()
        assert torch.equal(seen, before)
        assert torch.equal(training.validated(), training.weight * (training.weight.abs() > 0.1))
        velocity = 0.9 * velocity + gradient
        leaf = (before - 0.1 * velocity).requires_grad_()
        squared = leaf.abs().sum() ** 2 / leaf.square().sum()
        squared.backward()
        moved = leaf - 0.02 * 0.1 / (1 - 0.9) * leaf.grad
        expected = torch.where(moved.sign() == leaf.sign(), moved, 0)
        expected *= leaf.norm() / expected.norm()
        assert torch.allclose(training.weight, expected, atol=1e-6)
        assert training.pruner.metrics["regulariser"] == pytest.approx(float(squared.detach()))
        zeros += int((expected == 0).sum())
    assert zeros
    before = training.weight
    training.pruner.before_update(training.optimizer, Position(0, 6))
    assert torch.equal(training.pruner.masks["weight"], before.abs() > 0.1)
    assert not training.pruner.pending and 0 < int((training.weight == 0).sum()) < 48


def test_group_lasso_by_hand():
    """Behind every step the root mean square of each row loses lr times the weight, down to exactly 0."""
    training = Training(momentum=0.5, **LASSO | {"target": "0abs", "approach": {"prune_lambda": 0.3}})
    velocity = torch.zeros(6, 8)
    for _ in range(6):
        before = training.weight
        seen, gradient = training.step()
        assert torch.equal(seen, before)
        velocity = 0.5 * velocity + gradient
        moved = before - 0.1 * velocity
        rms = moved.square().mean(1, keepdim=True).sqrt()
        expected = moved * (1 - 0.3 * 0.1 / 0.5 / rms).clamp(min=0)
        assert torch.allclose(training.weight, expected, atol=1e-6)
        assert training.pruner.metrics["regulariser"] == pytest.approx(float(8 * rms.sum()), rel=1e-5)
    zero = (training.weight == 0).all(1)
    assert 0 < int(zero.sum()) < 6 and torch.equal(zero, (training.weight == 0).any(1))
    training.pruner.before_update(training.optimizer, Position(0, 6))
    assert torch.equal(~training.pruner.masks["weight"], zero[:, None].expand(6, 8))


def in_epochs_of_20(_, updates):
    return Position(updates // 20, updates, updates % 20 == 19, lambda epochs: 20 * epochs - updates % 20)


@pytest.mark.parametrize("momentum, end", [(0.0, "40up"), (0.5, "40up"), (0.5, "2ep")])
def test_group_lasso_brings_the_asked_part_to_zero_by_itself(momentum, end, monkeypatch):
    """Without a weight and whatever the learning rate, evenly; with one it does what that says."""
    monkeypatch.setattr(one_layer, "Position", in_epochs_of_20)
    for lr in (0.001, 0.1):
        training = Training(lr=lr, momentum=momentum, **FITTED | {"end": end})
        sizes = []
        for _ in range(40):
            training.step()
            sizes.append(float(training.weight.square().mean(1).sqrt().sort().values[2]))
        zero = (training.weight == 0).all(1)
        assert int(zero.sum()) == 3 and sizes[-1] == 0 < sizes[-2]
        if lr == 0.001:  # where gradients hardly move it, along a straight line
            assert sizes[19] == pytest.approx(20 * sizes[38], rel=0.1)
        training.step()
        assert torch.equal(~training.pruner.masks["weight"], zero[:, None].expand(6, 8))
    given = Training(lr=0.001, **LASSO | {"end": end})
    for _ in range(40):
        given.step()
    assert (given.weight != 0).all()


def test_hoyer_makes_sparse():
    """By itself: weights that nothing removes yet go below the threshold; without it none does."""
    drawn, free = (
        Training(lr=0.02, approach={"prune_lambda": by}, method="hoyer_square", end="400up") for by in (0.1, 0.0)
    )
    for _ in range(400):
        drawn.step()
        free.step()
    assert int((drawn.weight == 0).sum()) > 24 and (free.weight != 0).all()


def test_a_penalty_grows_once_an_update():
    """fairseq calls again with the same number for accumulated batches and for retries."""
    settings = {"update_reg_interval": 1, "reg_granularity_prune": 0.25, "stabilize_reg_interval": 3}
    one, four = (Training(method="greg1", units="weight", approach=settings) for _ in range(2))
    for update in range(4):
        one.pruner.before_update(one.optimizer, Position(0, update))
        for _ in range(4):
            four.pruner.before_update(four.optimizer, Position(0, update))
        assert one.pruner.metrics["penalty"] == four.pruner.metrics["penalty"] == 0.25 * (update + 1)
