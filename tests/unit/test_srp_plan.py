"""What the seed's options mean, and one line with option, value and example for each mistake."""

from dataclasses import fields
from types import SimpleNamespace

import pytest

from fairseq_prune.engine.make_plan import make_plan
from fairseq_prune.engine.options import PruneOptions, given_options
from fairseq_prune.engine.plan import Plan
from fairseq_prune.engine.reachable import RunLength, check_long_enough
from fairseq_prune.methods.shrinking import Shrink
from fairseq_prune.pruning.schedule import Schedule
from fairseq_prune.pruning.times import When
from fairseq_prune.pruning.units import parse_units
from fairseq_prune.tasks.srp_options import UNITS, SrpOptions, as_state_of_a_pruner, plan_options

RUN = {  # what fairseq's other options resolve to
    "prune_seed": 1, "prune_max_epoch": 0, "prune_max_update": 0, "prune_save_dir": "no/such/folder",
}  # fmt: skip


def config(**given):
    defaults = {field.name: field.default for kind in (PruneOptions, SrpOptions) for field in fields(kind)}
    return SimpleNamespace(**defaults | RUN | given)


def plan_of(**given):
    cfg = config(**given)
    plan = make_plan(plan_options(cfg, given_options(cfg)), cfg.prune_seed)
    if plan.prunes:
        check_long_enough(plan, RunLength(cfg.prune_max_epoch, cfg.prune_max_update))
    return plan


def test_nothing_given_prunes_nothing():
    assert plan_of() == Plan() and not Plan().prunes


def test_srp_alone_keeps_a_fifth():
    plan = plan_of(srp=True)
    assert (plan.method, plan.target) == ("srp", {"compression_rate": 0.2, "srp_budget": "exact"}) and plan.prunes
    assert (plan.units, plan.importance, plan.scope) == ("width", "connectivity", "global")
    assert plan.schedule == Schedule("rounds", When(0, "ep"), steps=1)
    assert plan.approach == Shrink("sa", 15, None)


def test_rate_alone_cuts_at_once():
    plan = plan_of(compression_rate=0.3)
    assert (plan.method, plan.approach, plan.schedule) == ("srp_once", None, Schedule("once", When(0, "ep")))
    shrinks = plan_of(compression_rate=0.3, srp=True, pruning_iter=4)
    assert shrinks.target == plan.target and shrinks.schedule.num_events == 4


def test_every_option_arrives():
    given = {
        "compression_rate": 0.34, "srp": True, "pruning_stage": 2, "pruning_iter": 3, "pruning_period": 7,
        "warming_up": 2, "decreasing": "sg", "srp_budget": "legacy",
        "srp_score": "squared", "srp_score_batches": 5, "prune_seed": 9,
    }  # fmt: skip
    plan = plan_of(**given)
    assert plan.target == {"compression_rate": 0.34, "srp_budget": "legacy"} and plan.asked_by == "--compression-rate"
    assert (plan.units, plan.importance) == ("width:qk+vo+neuron", "connectivity_squared")
    assert (plan.batches, plan.seed, plan_of(srp=True).batches) == (5, 9, 16)
    assert (plan.schedule, plan.approach) == (Schedule("rounds", When(2, "ep"), steps=3), Shrink("sg", 7))
    assert plan_of(srp=True, srp_pruning_updates=90).approach == Shrink(updates=90)


def test_plain_values_tell_plans_apart():
    """A resume compares them, so every answer has to be in them."""
    plan = {"srp": True, "compression_rate": 0.2, "srp_pruning_updates": 3}
    others = {
        "compression_rate": 0.3, "pruning_stage": 1, "pruning_iter": 2, "pruning_period": 3,
        "srp_pruning_updates": 4, "warming_up": 1, "decreasing": "sg", "srp_budget": "legacy", "srp_score": "squared",
    }  # fmt: skip
    plain = plan_of(**plan).plain()
    assert all(plan_of(**plan | {name: value}).plain() != plain for name, value in others.items())
    assert plan_of(compression_rate=0.2).plain() != plain
    assert all(value is None or isinstance(value, (str, int, float)) for value in plain.values())


def test_stages_part_the_units():
    kinds = [parse_units(UNITS[stage]).kinds for stage in (0, 1, 2)]
    assert sorted(kinds[1] + kinds[2]) == sorted(kinds[0]) == ["neuron", "qk", "residual", "vo"]


@pytest.mark.parametrize(("given", "words"), [
    ({"compression_rate": 0.0}, ["--compression-rate 0.0", "(0, 1)", "e.g. 0.2"]),
    ({"compression_rate": 1.0, "srp": True}, ["--compression-rate 1.0", "remains", "e.g. 0.2"]),
    ({"compression_rate": -0.2}, ["--compression-rate -0.2", "e.g. 0.2"]),
    ({"compression_rate": 20.0}, ["--compression-rate 20.0", "e.g. 0.2"]),
    ({"compression_rate": float("nan")}, ["--compression-rate nan", "e.g. 0.2"]),
    ({"srp": True, "pruning_period": 0}, ["--pruning-period 0", "at least 1"]),
    ({"srp": True, "pruning_iter": 0}, ["--pruning-iter 0", "at least 1"]),
    ({"srp": True, "warming_up": -1}, ["--warming-up -1", "at least 0"]),
    ({"srp": True, "srp_score": "fisher"}, ["--srp-score fisher", "signed, squared"]),
    ({"srp": True, "srp_score_batches": 0}, ["--srp-score-batches 0", "at least 1"]),
    ({"srp": True, "srp_pruning_updates": 0}, ["--srp-pruning-updates 0", "at least 1"]),
    ({"srp": True, "pruning_stage": 3}, ["--pruning-stage 3", "give 0", "1 (residual widths)", "2"]),
    ({"srp": True, "decreasing": "as"}, ["--decreasing as", "unknown", "did you mean", "ea, eg, sa, sg"]),
    ({"srp": True, "decreasing": "sga"}, ["--decreasing sga", "did you mean 'sg'?"]),
    ({"srp": True, "srp_budget": "legasy"}, ["--srp-budget legasy", "did you mean 'legacy'?"]),
    ({"srp": True, "decreasing": "ea", "srp_pruning_updates": 9}, ["--decreasing ea", "epochs", "e.g. sa"]),
    ({"srp": True, "pruning_period": 3, "prune_max_epoch": 2},
     ["--pruning-period than 3", "epoch 3", "--max-epoch 2", "e.g. --max-epoch 3"]),
    ({"srp": True, "pruning_period": 2, "pruning_iter": 2, "warming_up": 1, "prune_max_epoch": 4},
     ["--pruning-period than 2", "epoch 5", "e.g. --max-epoch 5"]),
    ({"srp": True, "srp_pruning_updates": 9, "pruning_iter": 2, "prune_max_update": 17},
     ["--srp-pruning-updates than 9", "update 18", "--max-update 17", "e.g. --max-update 18"]),
    ({"srp": True, "srp_pruning_updates": 9, "warming_up": 2, "prune_max_epoch": 2},
     ["--warming-up 2", "--max-epoch 2", "at most --warming-up 1"]),
    ({"compression_rate": 0.5, "warming_up": 2, "prune_max_epoch": 2},
     ["--warming-up 2", "--max-epoch 2", "at most --warming-up 1"]),
    ({"srp": True, "prune_method": "magnitude"}, ["--prune-method magnitude", "either masks or cuts"]),
    ({"srp": True, "prune_target": "0.5"}, ["--prune-target 0.5", "--compression-rate 0.2"]),
])  # fmt: skip
def test_mistakes(given, words):
    with pytest.raises(ValueError) as caught:
        plan_of(**given)
    assert "\n" not in str(caught.value)
    assert [word for word in words if word not in str(caught.value)] == []


@pytest.mark.parametrize("given", [
    {"srp": True, "pruning_period": 3, "prune_max_epoch": 3},
    {"srp": True, "pruning_period": 2, "pruning_iter": 2, "warming_up": 1, "prune_max_epoch": 5},
    {"srp": True, "srp_pruning_updates": 9, "pruning_iter": 2, "prune_max_update": 18},
    {"srp": True, "srp_pruning_updates": 9, "warming_up": 2, "prune_max_epoch": 3},
    {"compression_rate": 0.5, "warming_up": 2, "prune_max_epoch": 3},
    {"compression_rate": 0.5, "prune_max_update": 1},
    {"prune_method": "srp", "prune_target": "0.5", "pruning_period": 2, "prune_max_epoch": 2},
    {"prune_method": "srp", "compression_rate": 0.5, "pruning_period": 2, "prune_max_epoch": 2},
    {"srp": True, "pruning_period": 1, "prune_max_epoch": 1, "decreasing": "eg"},
    {"pretrained_model": __file__},
])  # fmt: skip
def test_controls_just_within(given):
    plan_of(**given)


TEN = {"batches_per_epoch": 10}
RAGGED = {"batches_per_epoch": 10, "update_freq": (2, 1)}  # 5 updates in the first epoch


def shrinking(period=15, updates=None, rounds=1, warming_up=0):
    return plan_of(
        compression_rate=0.2, srp=True, pruning_period=period, srp_pruning_updates=updates, pruning_iter=rounds,
        warming_up=warming_up,
    )  # fmt: skip


@pytest.mark.parametrize(("plan", "length", "last"), [
    (shrinking(period=3), TEN, 30),
    (shrinking(period=2, rounds=2, warming_up=1), TEN, 50),
    (shrinking(period=2), RAGGED, 15),
    (shrinking(updates=7, rounds=3), TEN, 21),
    (shrinking(updates=7, warming_up=2), RAGGED, 22),
])  # fmt: skip
def test_the_end_in_updates(plan, length, last):
    """Once the length of the epochs is known, both limits of the run are compared with the last cut."""
    check_long_enough(plan, RunLength(0, last, **length))
    check_long_enough(plan, RunLength(9, 0, **length))
    with pytest.raises(ValueError, match=rf"update {last} .*--max-update {last - 1}\).*e.g. --max-update {last}, or"):
        check_long_enough(plan, RunLength(0, last - 1, **length))


@pytest.mark.parametrize(("warming_up", "last"), [(0, 1), (2, 21)])
def test_the_cut_at_once_in_updates(warming_up, last):
    plan = plan_of(compression_rate=0.2, warming_up=warming_up)
    check_long_enough(plan, RunLength(0, last, **TEN))
    if warming_up:
        with pytest.raises(ValueError, match=rf"--warming-up 2 is not reached .*--max-update {last - 1} .*in epoch 2"):
            check_long_enough(plan, RunLength(0, last - 1, **TEN))


def test_epochs_too_short_for_updates():
    plan = shrinking(updates=25)
    message = r"update 25 .*--max-epoch 2 is 20 updates.*e.g. --max-epoch 3, .*--srp-pruning-updates than 25"
    with pytest.raises(ValueError, match=message):
        check_long_enough(plan, RunLength(2, 0, **TEN))
    check_long_enough(plan, RunLength(3, 0, **TEN))


def test_states_of_earlier_versions():
    """Those of commit 1441476 say the same as one of now; another plan is another plan there too."""
    plan = plan_of(srp=True, compression_rate=0.4, srp_pruning_updates=3, pruning_iter=2, prune_seed=3)
    old = {
        "rate": 0.4, "shrinks": True, "stage": 0, "rounds": 2, "period": 15, "updates": 3, "warming_up": 0,
        "decreasing": "sa", "budget": "exact", "score": "signed", "score_batches": 16, "seed": 3,
    }  # fmt: skip
    window = {"updates": 3, "epochs": 0, "length": 3, "selected": {}}
    before = {"events_done": 0, "events_left": 0, "plan": Plan().plain(), "approach": None, "whole": 7}
    found = as_state_of_a_pruner({**before, "srp": {"rounds_done": 1, "window": window, "plan": old}})
    assert found["plan"] == plan.plain() and found["approach"] == window
    assert (found["events_done"], found["events_left"], found["seed"], found["whole"]) == (2, 0, 3, 7)
    between = as_state_of_a_pruner({**before, "srp": {"rounds_done": 1, "window": None, "plan": old}})
    assert (between["events_done"], between["events_left"], between["approach"]) == (1, 1, None)
    other = as_state_of_a_pruner({**before, "srp": {"rounds_done": 1, "window": None, "plan": old | {"stage": 1}}})
    assert other["plan"] != plan.plain()
    assert as_state_of_a_pruner({**before, "srp": {"rounds_done": 0, "window": None, "plan": {"rate": None}}}) == {
        **before, "srp": {"rounds_done": 0, "window": None, "plan": {"rate": None}}
    }  # fmt: skip
    assert as_state_of_a_pruner(before) is before
