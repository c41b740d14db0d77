"""Plans: defaults, and an error for every mistake that names the option, the value and an example."""

import pytest

from fairseq_prune.engine.plan import Plan, make_plan
from fairseq_prune.engine.reachable import check_reachable
from fairseq_prune.pruning.schedule import Schedule, When

MAGNITUDE = {"method": "magnitude", "target": "0.8"}


def test_nothing_given_prunes_nothing():
    assert make_plan({}) == Plan() == make_plan({"method": "none"})
    assert not Plan().prunes and Plan().schedule is None


def test_defaults_of_a_method():
    plan = make_plan(MAGNITUDE, seed=7)
    assert plan == Plan(
        method="magnitude", units="weight", importance="magnitude", scope="global", target={"*": 0.8},
        stages={}, schedule=Schedule("once", When(0, "up")), include=(), skip=(), seed=7,
    )  # fmt: skip
    assert plan.prunes
    assert make_plan({**MAGNITUDE, "method": "random"}).importance == "random"


def test_options_override_the_method():
    plan = make_plan({
        "method": "magnitude", "target": "ih=0.9,*=0.5", "units": "block:2x2", "importance": "magnitude_l2",
        "scope": "stage", "stages": "ih=*ih*;rest=*fc*", "schedule": "cubic", "start": "1ep", "end": "5ep",
        "every": "2ep", "include": "*.bias", "skip": "*embed*,*norm*",
    })  # fmt: skip
    assert plan == Plan(
        method="magnitude", target={"ih": 0.9, "*": 0.5}, units="block:2x2", importance="magnitude_l2",
        scope="stage", stages={"ih": ("*ih*",), "rest": ("*fc*",)}, include=("*.bias",),
        skip=("*embed*", "*norm*"), schedule=Schedule("cubic", When(1, "ep"), When(5, "ep"), When(2, "ep")),
    )  # fmt: skip


def test_plain_values_tell_plans_apart():
    """A resume compares them, so every answer has to be in them."""
    given = {**MAGNITUDE, "scope": "stage", "stages": "a=*", "schedule": "cubic", "end": "9up"}
    changes = [
        {"method": "random"}, {"target": "0.7"}, {"units": "row"}, {"importance": "magnitude_l2"},
        {"stages": "b=*"}, {"schedule": "linear"}, {"start": "1up"}, {"end": "8up"}, {"every": "2up"},
        {"include": "*.bias"}, {"skip": "*embed*"},
    ]  # fmt: skip
    plain = make_plan(given).plain()
    assert plain == make_plan(dict(given)).plain()
    assert all(value is None or isinstance(value, (str, int, float)) for value in plain.values())
    assert [change for change in changes if make_plan({**given, **change}).plain() == plain] == []


@pytest.mark.parametrize("options, words", [
    ({"target": "0.8"}, ["--prune-target 0.8", "--prune-method none", "e.g. --prune-method magnitude"]),
    ({"method": "none", "units": "row"}, ["--prune-units row", "e.g. --prune-method magnitude"]),
    ({"method": "magnitude"}, ["--prune-method magnitude", "--prune-target 0.8"]),
    ({**MAGNITUDE, "target": "80"}, ["--prune-target 80", "e.g. 0.8"]),
    ({**MAGNITUDE, "target": "a=0.5,b"}, ["--prune-target a=0.5,b", "e.g. 'ih=0.9,hh=0.5'"]),
    ({**MAGNITUDE, "start": "4"}, ["--prune-start 4:", "'4'", "e.g. '4ep'"]),
    ({**MAGNITUDE, "schedule": "cubic", "end": "4 epochs"}, ["--prune-end 4 epochs:", "e.g. '4ep'"]),
    ({**MAGNITUDE, "schedule": "cubic", "end": "4ep", "every": "x"}, ["--prune-every x:", "'500up'"]),
    ({**MAGNITUDE, "schedule": "cubic"}, ["--prune-schedule cubic", "e.g. --prune-end 2000up"]),
    ({**MAGNITUDE, "end": "4ep"}, ["--prune-end 4ep", "--prune-schedule once", "e.g. --prune-schedule cubic"]),
    ({**MAGNITUDE, "stages": "a=*"}, ["--prune-stages", "--prune-scope stage", "--prune-scope global"]),
    ({**MAGNITUDE, "scope": "stage", "stages": "a"}, ["--prune-stages a", "e.g. 'embed=*embed*"]),
    ({"method": "magnitud", "target": "0.8"}, ["--prune-method magnitud:", "did you mean 'magnitude'"]),
    ({**MAGNITUDE, "units": "rwo"}, ["--prune-units rwo:", "did you mean 'row'"]),
    ({**MAGNITUDE, "importance": "magnitud"}, ["--prune-importance magnitud:", "did you mean 'magnitude'"]),
    ({**MAGNITUDE, "scope": "globl"}, ["--prune-scope globl:", "did you mean 'global'"]),
    ({**MAGNITUDE, "schedule": "cubik"}, ["--prune-schedule cubik:", "did you mean 'cubic'"]),
    ({**MAGNITUDE, "units": "block:4"}, ["--prune-units block:4:", "e.g. 'block:4x4'"]),
], ids=str)  # fmt: skip
def test_mistakes_are_explained(options, words):
    with pytest.raises(ValueError) as error:
        make_plan(options)
    assert [word for word in words if word not in str(error.value)] == []
    assert "\n" not in str(error.value)


def updates_of(max_epoch, max_update, batches, update_freq):
    """Walk through a run as fairseq does: (completed epochs, completed updates) before each update."""
    epoch = updates = 0
    while not (max_epoch and epoch >= max_epoch):
        freq = update_freq[min(epoch, len(update_freq) - 1)]
        for _ in range(-(-batches // freq)):
            if max_update and updates >= max_update:
                return
            yield {"ep": epoch, "up": updates}
            updates += 1
        epoch += 1


def refused(last, unit, **run):
    """Whether a schedule with its last event there is refused, and the largest value offered instead."""
    try:
        check_reachable(Schedule("once", When(last, unit)), **run)
    except ValueError as error:
        assert f"--prune-start {last}{unit} is not reached" in str(error)
        return int(str(error).rpartition("--prune-start ")[2].removesuffix(unit))
    return None


def agrees_with_the_run(unit, *run):
    seen = {moment[unit] for moment in updates_of(*run)}
    run = dict(zip(("max_epoch", "max_update", "batches_per_epoch", "update_freq"), run, strict=True))
    return all(refused(last, unit, **run) == (None if last in seen else max(seen)) for last in range(40))


@pytest.mark.parametrize("max_epoch, max_update, update_freq", [
    (3, 0, [1]), (3, 0, [2]), (4, 0, [4, 2, 1]), (1, 0, [1]),
    (0, 20, [1]), (0, 21, [1]), (0, 22, [1]), (0, 9, [4, 2, 1]), (0, 1, [1]),
    (2, 100, [1]), (100, 9, [1]), (2, 14, [1]), (3, 5, [4, 2, 1]),  # the tighter of two limits
])  # fmt: skip
def test_reachable_is_what_the_run_reaches(max_epoch, max_update, update_freq):
    assert agrees_with_the_run("ep", max_epoch, max_update, 7, update_freq)
    assert agrees_with_the_run("up", max_epoch, max_update, 7, update_freq)


def test_the_end_is_named_where_there_is_one():
    schedule = Schedule("cubic", When(0, "up"), When(20, "up"))
    with pytest.raises(ValueError) as error:
        check_reachable(schedule, max_update=20)
    for word in ("--prune-end 20up", "--max-update 20", "give at most --prune-end 19up"):
        assert word in str(error.value)
    check_reachable(schedule, max_update=21)


def test_what_is_unknown_is_not_refused():
    check_reachable(Schedule("once", When(10**9, "up")))
    check_reachable(Schedule("once", When(10**9, "up")), max_epoch=3)
    check_reachable(Schedule("once", When(10**9, "ep")), max_update=3)


def test_dropped_remainders_count():
    """fairseq drops the last batch and what then fills no update: 10 batches by 4 are 2 updates, not 3."""
    schedule = make_plan({"method": "magnitude", "target": 0.5, "start": "5up"}).schedule
    check_reachable(schedule, max_epoch=2, batches_per_epoch=10, update_freq=(4,))
    with pytest.raises(ValueError, match="--max-epoch 2 is 4 updates"):
        check_reachable(schedule, max_epoch=2, batches_per_epoch=10, update_freq=(4,), skip_remainder=True)
