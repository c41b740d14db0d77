"""The law by which a penalty grows, against the trajectories of GReg's published configurations."""

from dataclasses import replace

import pytest
import torch

from fairseq_prune.pruning.budget.counting import up
from fairseq_prune.pruning.growing import Growth, Layer, contraction, fit, grow, magnitude_ratio

GREG1, GREG2 = Growth(), Growth(picks=True, stop_scope="layer")


def trajectory(growth):
    """(changes until picked, factor then, changes until all is through, factor then), without magnitude ratios."""
    layers, picked, at, changes = {"a": Layer(), "b": Layer()}, not growth.picks, (0, 0.0), 0
    while not all(layer.through for layer in layers.values()):
        layers, picks = grow(growth, layers, picked, {})
        changes += 1
        if picks:
            picked, at = True, (changes, layers["a"].factor)
    return (*at, changes, layers["a"].factor)


def test_published_trajectories():
    """Changes and factors as the original's float32 sums give them."""
    assert trajectory(GREG1) == (0, 0.0, 10_000, pytest.approx(1.0000535, abs=1e-7))
    picked, factor, through, _ = trajectory(GREG2)
    assert (picked, factor, through) == (1_001, pytest.approx(0.01001, abs=1e-7), 10_901)
    assert (through - 1) * 5 == 54_500  # the iteration of the last change, 5 apart


def test_exact_in_binary():
    assert trajectory(Growth(step=1 / 64))[2:] == (65, 65 / 64)


def test_factors_of_units_that_stay():
    layers, _ = grow(GREG1, {"a": Layer()}, True, {})
    assert (layers["a"].factor, layers["a"].kept) == (pytest.approx(1e-4), 0.0)
    layers, _ = grow(GREG2, {"a": Layer()}, False, {})
    assert layers["a"].kept == layers["a"].factor == pytest.approx(1e-5)  # all alike before the choice
    layers, _ = grow(GREG2, {"a": Layer(factor=0.01)}, True, {})
    assert (layers["a"].factor, layers["a"].kept) == (pytest.approx(0.0101), -1e-4)


def test_ratio_ends_the_growth():
    """Globally only when all layers are separated; by layer each for itself."""
    layers = {"a": Layer(factor=0.1), "b": Layer(factor=0.1)}
    apart = {"a": 2000.0, "b": 10.0}
    after, _ = grow(GREG1, layers, True, apart)
    assert not after["a"].through and not after["b"].through
    after, _ = grow(replace(GREG1, stop_scope="layer"), layers, True, apart)
    assert after["a"].through and not after["b"].through
    again, _ = grow(replace(GREG1, stop_scope="layer"), after, True, {"b": 10.0})
    assert again["a"] == after["a"] and again["b"].factor > after["b"].factor  # what is through stands still


def test_ratio_is_a_running_mean():
    layers, _ = grow(GREG1, {"a": Layer()}, True, {"a": 10.0})
    assert layers["a"].ratio == 10.0
    layers, _ = grow(GREG1, layers, True, {"a": 20.0})
    assert layers["a"].ratio == pytest.approx(0.9 * 10 + 0.1 * 20)
    removed = torch.tensor([True, False, False, True])
    assert magnitude_ratio(torch.tensor([1.0, 6.0, 4.0, 3.0]), removed) == 2.5


@pytest.mark.parametrize("growth", [GREG1, GREG2], ids=["greg1", "greg2"])
def test_fitted_to_a_budget(growth):
    fitted = fit(growth, 2000)
    changes = trajectory(fitted)[2]
    assert changes * fitted.interval + fitted.stabilise == pytest.approx(2000, abs=2 * fitted.interval)
    with pytest.raises(ValueError, match="too few"):
        fit(growth, 6)


def test_contraction_of_the_published_configuration():
    """250 while it grows and 400 while it stays, at rate 1e-3 and momentum 0.9."""
    assert contraction(GREG1, 1e-3, 0.9) == pytest.approx(250 + 400)


def test_counts_by_exact_decimals():
    assert [up(0.14, 100), up(0.55, 100), up(0.07, 100), up(0.28, 100)] == [14, 55, 7, 28]
    assert [up(0.75, 16), up(0.75, 32), up(0.32, 64)] == [12, 24, 21]  # resnet56 keeps 4, 8 and 43
    assert (up(0.0, 9), up(0.999, 2), up(0.95, 16)) == (0, 1, 15)  # one always stays
