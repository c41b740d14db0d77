"""The Hoyer-square regulariser and hard-concrete gates against closed forms; thresholds against counting."""

import math

import pytest
import torch

from fairseq_prune.pruning.budget import Threshold, parse_target
from fairseq_prune.pruning.hard_concrete import chance_open, draw_noise, sample, settled
from fairseq_prune.pruning.hoyer import hoyer_square, hoyer_step
from fairseq_prune.pruning.importance import IMPORTANCES
from fairseq_prune.pruning.units import parse_units

NORMS = torch.rand(20, generator=torch.Generator().manual_seed(1))


def test_hoyer_square_is_1_to_n_whatever_the_scale():
    assert hoyer_square(torch.eye(7)[2]) == 1 and hoyer_square(torch.full((7,), 0.3)) == pytest.approx(7)
    assert 1 < hoyer_square(NORMS) < 20
    assert hoyer_square(1e-3 * NORMS) == pytest.approx(float(hoyer_square(NORMS)))


def test_a_small_step_is_the_gradients():
    """For groups of weights, by autograd; what is below the trim point shrinks."""
    weight = torch.randn(5, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64).requires_grad_()
    norms = weight.norm(dim=1)
    hoyer_square(norms).backward()
    step = (hoyer_step(norms.detach(), 1e-6) - 1)[:, None] * weight.detach()
    assert torch.allclose(step / -1e-6, weight.grad, atol=1e-4)
    assert torch.equal(hoyer_step(NORMS, 1e-3) < 1, NORMS < NORMS.square().sum() / NORMS.sum())


@pytest.mark.parametrize("size", [1e-3, 0.1, 1e6])
def test_a_large_step_is_stable(size):
    """Together the units keep their norm, whatever the step; the largest stays, zeros stay zeros."""
    norms = torch.cat([1e-2 * NORMS, torch.zeros(1)])
    after = norms * hoyer_step(norms, size)
    assert after.square().sum() == pytest.approx(float(norms.square().sum())) and after[-1] == 0
    assert after.argmax() == norms.argmax() and hoyer_square(after) < hoyer_square(norms)
    assert torch.equal(hoyer_step(torch.zeros(3), size), torch.ones(3))


@pytest.mark.parametrize("log_alpha", [-2.0, 0.0, 1.0])
def test_draws_are_as_likely_as_the_formulas_say(log_alpha):
    """Monte Carlo; P(1) by the same argument as P(0)."""
    gates = sample(torch.full((200_000,), log_alpha), draw_noise(200_000, torch.Generator().manual_seed(3)))
    open_by_formula = float(chance_open(torch.tensor(log_alpha)))
    whole_by_formula = 1 / (1 + math.exp(-(log_alpha - 2 / 3 * math.log(1.1 / 0.1))))
    assert float((gates > 0).float().mean()) == pytest.approx(open_by_formula, abs=5e-3)
    assert float((gates == 1).float().mean()) == pytest.approx(whole_by_formula, abs=5e-3)
    assert gates.min() == 0 and gates.max() == 1
    if log_alpha == 0:
        assert open_by_formula == pytest.approx(0.8319, abs=1e-4)
        assert float(gates.mean()) == pytest.approx(0.5, abs=5e-3)


def test_noise_is_a_generators():
    one, same, other = (draw_noise(9, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, same) and not torch.equal(one, other)


def test_a_gate_closes_for_good_at_its_limit():
    limit = -math.log(11)
    assert settled(torch.tensor(limit - 1e-3)) < 0 < settled(torch.tensor(limit + 1e-3))
    assert torch.all(chance_open(torch.linspace(-4, 4, 20)).diff() > 0)


@pytest.mark.parametrize("units", ["weight", "row", "column", "block:2x3"])
def test_largest_of_each_unit(units):
    weight, units = torch.randn(4, 6, generator=torch.Generator().manual_seed(4)), parse_units(units)
    found = IMPORTANCES["largest"](weight, units)
    count = len(found)
    for number in range(count):
        mine = units.spread(torch.arange(count) == number, weight.shape)
        assert found[number] == weight[mine].abs().max()


def test_thresholds_are_read():
    assert parse_target("1e-3abs")["*"] == Threshold(0.001) and str(Threshold(0.001)) == "0.001abs"
    with pytest.raises(ValueError, match="--prune-target abs: write 0.001abs"):
        parse_target("abs")
