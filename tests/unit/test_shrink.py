"""The multiplier of a unit that is being removed: from 1 to exactly 0, by time alone."""

import pytest

from fairseq_prune.pruning.shrink import SHRINKINGS

BY_HAND = {  # form: values at t = 0..5 of 5
    "a": [1.0, 0.8, 0.6, 0.4, 0.2, 0.0],
    "g": [1.0, 0.1, 0.01, 0.001, 0.0001, 0.0],
}
EVERY = sorted(SHRINKINGS)


def test_the_four():
    assert {name: shrinking.counts for name, shrinking in SHRINKINGS.items()} == {
        "sa": "up", "sg": "up", "ea": "ep", "eg": "ep"
    }  # fmt: skip


@pytest.mark.parametrize("name", EVERY)
def test_values_by_hand(name):
    values = [SHRINKINGS[name].value(t, 5) for t in range(6)]
    assert values == pytest.approx(BY_HAND[name[1]], rel=1e-12, abs=0)
    assert all(type(value) is float for value in values)


@pytest.mark.parametrize("total", [1, 2, 3, 7, 22_040])
@pytest.mark.parametrize("name", EVERY)
def test_from_one_strictly_down_to_exactly_zero(name, total):
    values = [SHRINKINGS[name].value(t, total) for t in range(total + 1)]
    assert values[0] == 1.0 and values[-1] == 0.0
    assert values[1] < 1.0
    assert all(before > after for before, after in zip(values, values[1:], strict=False))
    assert [SHRINKINGS[name].value(t, total) for t in (total + 1, 10 * total)] == [0.0, 0.0]


def test_the_rates_of_the_original_paper_scale():
    """spec 4: 20 epochs of 1102 updates change it by 4.5e-5 (sa) or by the factor 0.999478 (sg) an update."""
    total = 20 * 1102
    arithmetic, geometric = SHRINKINGS["sa"].value, SHRINKINGS["sg"].value
    assert arithmetic(1, total) - arithmetic(2, total) == pytest.approx(4.53741e-5, rel=1e-4)
    assert geometric(2, total) / geometric(1, total) == pytest.approx(0.99947775, abs=1e-7)


def test_control_the_original_divisor_overshoots():
    """Subtracting 1/(N-1) in each of N updates ends at -1/(N-1), the geometric form short of 1e-5."""
    total, arithmetic, geometric = 22_040, 1.0, 1.0
    for _ in range(total):
        arithmetic -= 1 / (total - 1)
        geometric *= 1e-5 ** (1 / (total - 1))
    assert arithmetic == pytest.approx(-4.54e-5, rel=1e-3) and geometric == pytest.approx(9.995e-6, rel=1e-4)
    assert SHRINKINGS["sa"].value(total, total) != arithmetic and SHRINKINGS["sg"].value(total, total) != geometric
    assert SHRINKINGS["sa"].value(total - 1, total) > 0 and SHRINKINGS["sg"].value(total - 1, total) > 1e-5


def test_a_misspelt_name():
    with pytest.raises(ValueError, match="unknown shrinking 'as'.* known: ea, eg, sa, sg"):
        SHRINKINGS["as"]
