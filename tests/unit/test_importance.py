"""What a unit is worth, on weights written by hand."""

import pytest
import torch

from fairseq_prune.pruning.importance import IMPORTANCES
from fairseq_prune.pruning.units import Block, Column, Row, Weight

WEIGHT = torch.tensor([[3.0, -4.0, 0.0, -1.0], [2.0, 2.0, -2.0, 2.0], [-6.0, 0.0, 0.0, 0.0]])
DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16]


def scores(name, units, weight=WEIGHT, seed=1):
    before = weight.clone()
    result = IMPORTANCES[name](weight, units, torch.Generator().manual_seed(seed))
    assert torch.equal(weight, before)
    assert result.dtype == torch.float32 and result.dim() == 1
    return result


@pytest.mark.parametrize("name, units, expected", [
    ("magnitude_l1", Weight(), [3, 4, 0, 1, 2, 2, 2, 2, 6, 0, 0, 0]),
    ("magnitude_l1", Row(), [2, 2, 1.5]),
    ("magnitude_l1", Column(), [11 / 3, 2, 2 / 3, 1]),
    ("magnitude_l1", Block(2, 2), [11 / 4, 5 / 4, 3, 0]),
    ("magnitude_l2", Weight(), [3, 4, 0, 1, 2, 2, 2, 2, 6, 0, 0, 0]),
    ("magnitude_l2", Row(), [6.5**0.5, 2, 3]),
])  # fmt: skip
def test_magnitudes(name, units, expected):
    for dtype in DTYPES:
        assert torch.allclose(scores(name, units, WEIGHT.to(dtype)), torch.tensor(expected, dtype=torch.float32))


def test_smallness_is_the_opposite_order():
    assert torch.equal(scores("smallness", Column()), -scores("magnitude_l1", Column()))
    assert scores("smallness", Weight()).argmin() == 8  # the largest is removed first


def test_l1_and_l2_order_rows_differently():
    assert scores("magnitude_l1", Row()).argmin() == 2
    assert scores("magnitude_l2", Row()).argmin() == 1


def test_short_and_long_rows_compare():
    """Units of different tensors stand in one ranking: length alone must not decide."""
    assert scores("magnitude", Row(), torch.ones(1, 2)) == scores("magnitude", Row(), torch.ones(1, 50))


def test_half_precision_does_not_overflow():
    big = torch.full((2, 40_000), 60_000.0, dtype=torch.float16)
    assert not big.square().mean(1).isfinite().any()  # control
    assert scores("magnitude_l1", Row(), big).isfinite().all()
    assert scores("magnitude_l2", Row(), big).isfinite().all()


def test_magnitude_is_l1():
    assert IMPORTANCES["magnitude"] is IMPORTANCES["magnitude_l1"] is not IMPORTANCES["magnitude_l2"]


def test_random_depends_on_the_seed_alone():
    first = scores("random", Weight())
    assert torch.equal(first, scores("random", Weight()))
    assert torch.equal(first, scores("random", Weight(), -5 * WEIGHT))
    assert not torch.equal(first, scores("random", Weight(), seed=2))
    assert scores("random", Row()).shape == (3,) and scores("random", Block(2, 2)).shape == (4,)


def test_random_scores_are_uniform_and_new_for_every_tensor():
    generator = torch.Generator().manual_seed(1)
    first, second = (IMPORTANCES["random"](torch.zeros(100, 100), Weight(), generator) for _ in range(2))
    assert not torch.equal(first, second)
    assert 0 <= first.min() and first.max() < 1
    assert abs(first.mean() - 0.5) < 0.02 and abs(first.var() - 1 / 12) < 0.01
