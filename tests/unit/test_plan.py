"""Plans: defaults, and an error for every mistake that names the option, the value and an example."""

import pytest

from fairseq_prune.engine.make_plan import make_plan
from fairseq_prune.engine.plan import Plan
from fairseq_prune.engine.reachable import RunLength, check_long_enough, check_reachable
from fairseq_prune.pruning.schedule import Schedule
from fairseq_prune.pruning.times import When

MAGNITUDE = {"method": "magnitude", "target": "0.8"}


def test_nothing_given_prunes_nothing():
    assert make_plan({}) == Plan() == make_plan({"method": "none"})
    assert not Plan().prunes and Plan().schedule.num_events == 0


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


@pytest.mark.parametrize("given, scope", [
    ({"method": "magnitude"}, "global"),
    ({"method": "magnitude", "importance": "wanda"}, "layer"),  # layers are pruned one after the other
    ({"method": "wanda"}, "output"),
    ({"method": "wanda", "importance": "obs"}, "layer"),  # is chosen by columns
    ({"method": "wanda", "importance": "ria"}, "output"),
    ({"method": "sparsegpt", "importance": "magnitude"}, "layer"),
])  # fmt: skip
def test_a_scope_that_nobody_gave_fits_the_importance(given, scope):
    assert make_plan({**given, "target": "0.5"}).scope == scope


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
        check_reachable(Schedule("once", When(last, unit)), RunLength(**run))
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
        check_reachable(schedule, RunLength(max_update=20))
    for word in ("--prune-end 20up", "--max-update 20", "give at most --prune-end 19up"):
        assert word in str(error.value)
    check_reachable(schedule, RunLength(max_update=21))


def test_the_end_goes_by_the_option_of_its_schedule():
    """--prune-freeze, where masks are selected anew until then."""
    schedule = Schedule("reselect", When(0, "up"), When(3, "ep"))
    with pytest.raises(ValueError, match="--prune-freeze 3ep is not .*--max-epoch 3.; give at most --prune-freeze 2ep"):
        check_reachable(schedule, RunLength(max_epoch=3))
    check_reachable(schedule, RunLength(max_epoch=4))
    with pytest.raises(
        ValueError, match="--prune-freeze 2up must come after --prune-start 2up, e.g. --prune-freeze 1002up"
    ):
        Schedule("reselect", When(2, "up"), When(2, "up"))
    with pytest.raises(ValueError, match="^--prune-start 2up, --prune-freeze 3ep: give all in epochs"):
        Schedule("reselect", When(2, "up"), When(3, "ep"))


def test_what_is_unknown_is_not_refused():
    check_reachable(Schedule("once", When(10**9, "up")), RunLength())
    check_reachable(Schedule("once", When(10**9, "up")), RunLength(max_epoch=3))
    check_reachable(Schedule("once", When(10**9, "ep")), RunLength(max_update=3))


def test_dropped_remainders_count():
    """fairseq drops the last batch and what then fills no update: 10 batches by 4 are 2 updates, not 3."""
    schedule = make_plan({"method": "magnitude", "target": 0.5, "start": "5up"}).schedule
    check_reachable(schedule, RunLength(2, 0, 10, (4,)))
    with pytest.raises(ValueError, match="--max-epoch 2 is 4 updates"):
        check_reachable(schedule, RunLength(2, 0, 10, (4,), skip_remainder=True))


GREG = {"target": "0.5", "approach": {"update_reg_interval": 10, "stabilize_reg_interval": 10000}}


@pytest.mark.parametrize("method, interval, stabilise, removed", [
    ("greg1", 5, 40000, 89_995), ("greg2", 5, 40000, 94_500),
    ("greg1", 10, 10000, 109_990), ("greg2", 10, 10000, 119_000),
])  # fmt: skip
def test_the_end_of_growth_is_that_of_the_paper(method, interval, stabilise, removed):
    """The removals of specs/greg.md, counted from 0; a run that ends one update earlier is refused."""
    approach = {"update_reg_interval": interval, "stabilize_reg_interval": stabilise}
    plan = make_plan({"method": method, "target": "0.5", "approach": approach})
    assert plan.updates_needed == removed + 1
    check_long_enough(plan, RunLength(max_update=removed + 1))
    with pytest.raises(ValueError, match=f"--prune-method {method} .* give e.g. --max-update {removed + 1}, or"):
        check_long_enough(plan, RunLength(max_update=removed))


def test_gregs_own_commands_are_refused_with_the_epochs_that_would_do():
    """README of GReg: 120 epochs of finetuning on CIFAR10, 391 updates each; the penalty takes 281.3 of them."""
    plan = make_plan({"method": "greg1", **GREG})
    check_long_enough(plan, RunLength(max_epoch=120))  # as long as no epoch's length is known
    with pytest.raises(ValueError, match="--max-epoch 120 is 46920 updates.* give e.g. --max-epoch 282, or"):
        check_long_enough(plan, RunLength(120, 0, 391))
    check_long_enough(plan, RunLength(282, 0, 391))
    later = make_plan({"method": "greg1", **GREG, "start": "2ep"})
    with pytest.raises(ValueError, match="give e.g. --max-epoch 284, or"):
        check_long_enough(later, RunLength(283, 0, 391))
    with_end = make_plan({"method": "greg1", **GREG, "end": "2000up"})
    check_long_enough(with_end, RunLength(120, 0, 391))
