"""SRP plans: what the seed's options mean, and one line with option, value and example for each mistake."""

from dataclasses import fields, replace
from types import SimpleNamespace

import pytest

from fairseq_prune.engine.srp.options import SrpOptions
from fairseq_prune.engine.srp.plan import OPTIONS, STAGES, SrpPlan, check_end, is_fresh, make_srp_plan

RUN = {  # what fairseq's other options resolve to
    "prune_seed": 1, "prune_max_epoch": 0, "prune_max_update": 0, "prune_restore_file": "checkpoint_last.pt",
    "prune_finetune_from_model": None, "prune_save_dir": "no/such/folder", "srp_continue_once": None,
}  # fmt: skip


def config(**given):
    return SimpleNamespace(**{field.name: field.default for field in fields(SrpOptions)} | RUN | given)


def plan_of(**given):
    return make_srp_plan(config(**given))


def test_nothing_given_prunes_nothing():
    assert plan_of() == SrpPlan() and not SrpPlan().prunes


def test_srp_alone_keeps_a_fifth():
    plan = plan_of(srp=True)
    assert plan == SrpPlan(rate=0.2, shrinks=True) and plan.prunes
    assert (plan.stage, plan.rounds, plan.period, plan.decreasing, plan.warming_up) == (0, 1, 15, "sa", 0)


def test_rate_alone_cuts_at_once():
    assert plan_of(compression_rate=0.3) == SrpPlan(rate=0.3, shrinks=False)
    assert plan_of(compression_rate=0.3, srp=True, pruning_iter=4) == SrpPlan(rate=0.3, shrinks=True, rounds=4)


def test_every_option_arrives():
    given = {
        "compression_rate": 0.34, "srp": True, "pruning_stage": 2, "pruning_iter": 3, "pruning_period": 7,
        "warming_up": 2, "decreasing": "sg", "srp_budget": "legacy",
        "srp_score": "squared", "srp_score_batches": 5, "prune_seed": 9,
    }  # fmt: skip
    assert plan_of(**given) == SrpPlan(0.34, True, 2, 3, 7, None, 2, "sg", "legacy", "squared", 5, 9)
    assert plan_of(srp=True, srp_pruning_updates=90) == SrpPlan(0.2, True, updates=90)


def test_plain_values_tell_plans_apart():
    """A resume compares them, so every answer has to be in them, under the name of its option."""
    plan = SrpPlan(rate=0.2, shrinks=True, updates=3)
    others = {
        "rate": 0.3, "shrinks": False, "stage": 1, "rounds": 2, "period": 3, "updates": 4, "warming_up": 1,
        "decreasing": "sg", "budget": "legacy", "score": "squared", "score_batches": 2, "seed": 2,
    }  # fmt: skip
    assert plan.plain().keys() == OPTIONS.keys() == others.keys()
    assert all(replace(plan, **{name: value}).plain() != plan.plain() for name, value in others.items())
    assert all(value is None or isinstance(value, (str, int, float)) for value in plan.plain().values())


def test_stages_part_the_units():
    assert sorted(STAGES[1] + STAGES[2]) == sorted(STAGES[0])


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
     ["--pruning-period 3", "epoch 3", "--max-epoch 2", "e.g. --max-epoch 3"]),
    ({"srp": True, "pruning_period": 2, "pruning_iter": 2, "warming_up": 1, "prune_max_epoch": 4},
     ["--pruning-period 2", "epoch 5", "e.g. --max-epoch 5"]),
    ({"srp": True, "srp_pruning_updates": 9, "pruning_iter": 2, "prune_max_update": 17},
     ["--srp-pruning-updates 9", "update 18", "--max-update 17", "e.g. --max-update 18"]),
    ({"srp": True, "srp_pruning_updates": 9, "warming_up": 2, "prune_max_epoch": 2},
     ["--srp-pruning-updates 9", "--max-epoch 2", "e.g. --max-epoch 3"]),
    ({"compression_rate": 0.5, "warming_up": 2, "prune_max_epoch": 2},
     ["--warming-up 2", "--max-epoch 2", "e.g. --max-epoch 3"]),
    ({"pretrained_model": "no.pt"}, ["--pretrained-model no.pt", "no such file", "e.g. checkpoints/"]),
    ({"pretrained_model": __file__, "prune_finetune_from_model": "b.pt"},
     ["--pretrained-model", "--finetune-from-model", "give one"]),
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
    {"srp": True, "pruning_period": 1, "prune_max_epoch": 1, "decreasing": "eg"},
    {"pretrained_model": __file__},
])  # fmt: skip
def test_controls_just_within(given):
    plan_of(**given)


def ten(epoch):
    return 10


def ragged(epoch):
    return 5 if epoch == 1 else 10


@pytest.mark.parametrize(("plan", "updates_in", "last"), [
    (SrpPlan(0.2, True, period=3), ten, 30),
    (SrpPlan(0.2, True, period=2, rounds=2, warming_up=1), ten, 50),
    (SrpPlan(0.2, True, period=2), ragged, 15),
    (SrpPlan(0.2, True, updates=7, rounds=3), ten, 21),
    (SrpPlan(0.2, True, updates=7, warming_up=2), ragged, 22),
    (SrpPlan(0.2, False), ten, 1),
    (SrpPlan(0.2, False, warming_up=2), ten, 21),
])  # fmt: skip
def test_the_end_in_updates(plan, updates_in, last):
    """Once the length of the epochs is known, both limits of the run are compared with the last cut."""
    assert plan.last_update(updates_in) == last
    check_end(plan, 0, last, updates_in)
    check_end(plan, 9, 0, updates_in)
    if last > 1:
        with pytest.raises(ValueError, match=rf"update {last}, .*--max-update {last - 1}.*e.g. --max-update {last}"):
            check_end(plan, 0, last - 1, updates_in)


def test_epochs_too_short_for_updates():
    message = r"--srp-pruning-updates 25: .* update 25, .*--max-epoch 2 is 20 updates.*e.g. --max-epoch 3"
    with pytest.raises(ValueError, match=message):
        check_end(SrpPlan(0.2, True, updates=25), 2, 0, ten)
    check_end(SrpPlan(0.2, True, updates=25), 3, 0, ten)


def test_fresh(tmp_path):
    folder = str(tmp_path)
    assert is_fresh(config(prune_save_dir=folder))
    assert not is_fresh(config(prune_save_dir=folder, prune_restore_file="other.pt"))
    assert not is_fresh(config(prune_save_dir=folder, srp_continue_once="other.pt"))
    (tmp_path / "checkpoint_last.pt").touch()
    assert not is_fresh(config(prune_save_dir=folder))
    assert make_srp_plan(config(prune_save_dir=folder, pretrained_model="gone.pt")) == SrpPlan()  # not read any more
