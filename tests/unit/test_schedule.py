"""When events happen, and how much of the target by then."""

import random

import pytest

from fairseq_prune.pruning.schedule import Schedule
from fairseq_prune.pruning.times import When


def schedule(shape="linear", start="0up", end=None, every=None):
    read = lambda text: None if text is None else When.parse(text)  # noqa: E731
    return Schedule(shape, When.parse(start), read(end), read(every))


def test_times():
    for text, when in {"4ep": When(4, "ep"), " 500up ": When(500, "up"), "0up": When(0, "up")}.items():
        assert When.parse(text) == when
        assert str(when) == text.strip()


def test_unreadable_times_are_explained():
    for text in ("4", "ep", "-4ep", "4 ep", "4EP", "1.5ep", "4epochs", "", None, 4):
        with pytest.raises(ValueError) as error:
            When.parse(text)
        assert str(error.value) == f"cannot read {text!r} as a time; write e.g. '4ep' or '500up'"


def events_of(start, end, every):
    """Positions of all events, by walking."""
    positions = list(range(start, end, every))
    return [*positions, end]


def test_events_are_at_start_then_every_so_many_then_end():
    rng = random.Random(1)
    for _ in range(200):
        start, span = rng.randint(0, 9), rng.randint(1, 40)
        every = rng.randint(1, span + 3)
        unit = rng.choice(["ep", "up"])
        events = events_of(start, start + span, every)
        plan = schedule("linear", f"{start}{unit}", f"{start + span}{unit}", f"{every}{unit}")
        assert (plan.num_events, plan.last, plan.unit) == (len(events), start + span, unit)
        for position in range(start + span + 5):
            assert plan.events_by(position) == sum(event <= position for event in events)


def test_fractions_follow_the_shape_at_each_event():
    rng = random.Random(2)
    for _ in range(100):
        start, span = rng.randint(0, 9), rng.randint(1, 40)
        every = rng.randint(1, span + 3)
        progress = [(event - start) / span for event in events_of(start, start + span, every)]
        times = (f"{start}up", f"{start + span}up", f"{every}up")
        plans = {shape: schedule(shape, *times) for shape in ("linear", "cubic")}
        assert [plans["linear"].fraction_at(i) for i in range(1, len(progress) + 1)] == progress
        cubic = [plans["cubic"].fraction_at(i) for i in range(1, len(progress) + 1)]
        assert cubic == pytest.approx([1 - (1 - p) ** 3 for p in progress])
        for plan in plans.values():
            fractions = [plan.fraction_at(i) for i in range(1, plan.num_events + 1)]
            assert fractions == sorted(fractions)
            assert fractions[-1] == 1.0  # exactly


def test_cubic_is_fast_first():
    plan = schedule("cubic", end="4up", every="1up")
    assert [plan.fraction_at(i) for i in range(1, 6)] == [0.0, 37 / 64, 0.875, 63 / 64, 1.0]


def test_once():
    plan = schedule("once", "3ep")
    assert (plan.unit, plan.last, plan.num_events, plan.fraction_at(1)) == ("ep", 3, 1, 1.0)
    assert [plan.events_by(position) for position in range(6)] == [0, 0, 0, 1, 1, 1]
    assert schedule("once").events_by(0) == 1


def test_the_default_interval_is_a_tenth():
    """Rounded up, so that there are never more than 11 events."""
    cases = {"1up": 1, "5up": 1, "10ep": 1, "11up": 2, "19up": 2, "20up": 2, "21up": 3, "1000up": 100}
    for end, every in cases.items():
        given = schedule("linear", end=end, every=f"{every}{end[-2:]}")
        default = schedule("linear", end=end)
        assert str(default) == str(given) and default.num_events <= 11
        assert [default.events_by(i) for i in range(1200)] == [given.events_by(i) for i in range(1200)]


def test_zero_fits_either_unit():
    assert schedule("linear", "0up", "4ep").unit == "ep"
    assert schedule("linear", "0ep", "4up", "2up").unit == "up"
    assert schedule("linear", "0up", "4ep").events_by(4) == 5


def test_as_text():
    assert str(schedule("once", "3ep")) == "once at 3ep"
    assert str(schedule("cubic", "0up", "4ep")) == "cubic from 0up to 4ep every 1ep"


@pytest.mark.parametrize("arguments, words", [
    (dict(shape="once", end="4up"), ["--prune-end 4up", "--prune-start", "e.g. --prune-schedule cubic"]),
    (dict(shape="once", every="4up"), ["--prune-every 4up", "--prune-start"]),
    (dict(shape="cubic"), ["--prune-schedule cubic", "--prune-end 2000up"]),
    (dict(start="1ep", end="400up"), ["--prune-start 1ep", "--prune-end 400up", "4ep"]),
    (dict(start="0ep", end="4ep", every="100up"), ["--prune-every 100up", "4ep"]),
    (dict(start="5up", end="5up"), ["--prune-end 5up", "--prune-start 5up", "--prune-end 1005up"]),
    (dict(start="6ep", end="5ep"), ["--prune-end 5ep", "--prune-start 6ep"]),
    (dict(end="0up"), ["--prune-end 0up", "--prune-start 0up"]),
    (dict(end="5up", every="0up"), ["--prune-every 0up", "100up"]),
], ids=str)  # fmt: skip
def test_impossible_schedules_are_explained(arguments, words):
    with pytest.raises(ValueError) as error:
        schedule(**arguments)
    assert [word for word in words if word not in str(error.value)] == []


@pytest.mark.parametrize("initial", [0.0, 0.36])
def test_exponential_keeps_the_same_share_at_every_event(initial):
    """The first is where it starts, then a fifth is removed each time; a linear one takes more and more of the rest."""
    target = 1 - (1 - initial) * 0.8**4
    for shape, expected in (("exponential", True), ("linear", False)):
        plan = schedule(shape, "0up", "8up", "2up")
        kept = [1 - plan.fraction_at(event, initial, target) for event in range(1, 6)]
        assert kept[0] == pytest.approx(1 - initial) and kept[-1] == pytest.approx(1 - target)
        shares = [after / before for before, after in zip(kept, kept[1:], strict=False)]
        assert (shares == pytest.approx([0.8] * 4)) == expected
