"""Learning rates of a run that was interrupted, with every scheduler: after each epoch and in the middle of one."""

import pytest
from conftest import masks_of, same_tensors, words_of
from fairseq.optim import register_optimizer
from fairseq.optim.adam import FairseqAdam, FairseqAdamConfig
from fairseq.optim.lr_scheduler import LR_SCHEDULER_REGISTRY
from fairseq.optim.lr_scheduler.fixed_schedule import FixedLRSchedule
from fairseq.optim.lr_scheduler.triangular_lr_scheduler import TriangularLRSchedule, TriangularLRScheduleConfig

from fairseq_prune.engine.mixin import PruneMixin

LENGTH = words_of("--max-tokens 360 --max-epoch 5 --max-update 0")  # of 3 updates each
STOPS = ["--max-update 2", "--max-epoch 2", "--max-epoch 3", "--max-update 11"]
OPTIONS = {
    "cosine": "--lr 0.01 --warmup-updates 4 --lr-period-updates 5 --t-mult 2",
    "fixed": "--lr 0.01,0.02 --force-anneal 3 --lr-shrink 0.5 --warmup-updates 4",
    "inverse_sqrt": "--lr 0.01 --warmup-updates 4",
    "manual": "--lr 0.01 --epoch2lr {'1':0.01,'3-4':0.005} --update2lr {'8':0.002}",
    "pass_through": "--lr 0.01 --optimizer adam_triangular",
    "phased": "--lr-ft 0:0.01,1:0.005,3:0.002",
    "polynomial_decay": "--lr 0.01 --total-num-update 30 --force-anneal 2 --warmup-updates 2",
    "reduce_lr_on_plateau": "--lr 0.01 --lr-shrink 0.5 --lr-patience 1 --lr-threshold 0.9 --warmup-updates 2",
    "step": "--lr 0.01 --lr-deacy-period 4",
    "tri_stage": "--lr 0.01 --warmup-steps 4 --hold-steps 4 --decay-steps 6",
    "triangular": "--lr 0.001 --max-lr 0.01 --lr-period-updates 8",
}
BY_UPDATES = {"cosine", "inverse_sqrt", "step", "tri_stage"}  # their rates ask for nothing else
METHODS = {
    "none": "--prune-method none",
    "magnitude": "--prune-method magnitude --prune-target 0.5 --prune-schedule cubic --prune-end 6up --prune-every 2up "
    "--prune-lr 0.02",
}


@register_optimizer("adam_triangular", dataclass=FairseqAdamConfig)
class AdamTriangular(FairseqAdam):
    """Adam with a scheduler of its own, which is what pass_through is for."""

    def __init__(self, cfg, params):
        super().__init__(cfg, params)
        options = TriangularLRScheduleConfig(max_lr=0.01, lr_period_updates=8)
        options.lr = [0.001]
        self.lr_scheduler = TriangularLRSchedule(options, self)


def rates_of(checkpoint):
    return [group["lr"] for group in checkpoint["last_optimizer_state"]["param_groups"]]


def scheduler_of(checkpoint):
    """Its state; the epoch that reduce_lr_on_plateau counts is not used for anything."""
    state = checkpoint["optimizer_history"][-1]["lr_scheduler_state"]
    return {name: value for name, value in state.items() if name != "last_epoch"}


def test_all_schedulers_are_here():
    assert set(OPTIONS) == set(LR_SCHEDULER_REGISTRY)


@pytest.mark.parametrize("scheduler, method", [*((name, "none") for name in OPTIONS), ("phased", "magnitude")])
def test_interrupted_equals_uninterrupted(new_run, scheduler, method):
    words = ["--lr-scheduler", scheduler, *OPTIONS[scheduler].split(), *METHODS[method].split(), *LENGTH]
    whole, parts, rates = new_run("whole").train(*words), new_run("parts"), set()
    few = method != "none" or scheduler in BY_UPDATES
    for stop in STOPS[2:] if few else STOPS:  # after the last removal
        rates.add(tuple(rates_of(parts.train(*words, *stop.split()))))
    after = parts.train(*words)
    assert after["optimizer_history"][-1]["num_updates"] == 15
    assert rates_of(after) == rates_of(whole) and scheduler_of(after) == scheduler_of(whole)
    assert same_tensors(after["model"], whole["model"])
    assert same_tensors(masks_of(after), masks_of(whole))
    assert same_tensors(after["last_optimizer_state"], whole["last_optimizer_state"])
    assert len(rates | {tuple(rates_of(after))}) > 1  # control: there was a rate to lose


def test_phased_counts_from_the_removal(new_run):
    """In epoch 2, after 4 updates; also in a run that goes on from epoch 3."""
    words = ["--lr-scheduler", "phased", *OPTIONS["phased"].split(), *LENGTH, "--disable-validation"]
    words += "--prune-method magnitude --prune-target 0.5 --prune-start 4up --prune-lr 0.02".split()
    words += ["--save-interval-updates", "1"]
    wanted = {1: 0.02, 2: 0.02, 4: 0.02, 5: 0.01, 7: 0.005, 8: 0.005, 10: 0.005, 11: 0.005, 13: 0.002, 14: 0.002}
    run, resumed = new_run("whole"), new_run("resumed")
    run.train(*words)
    assert rates_by_update(run) == wanted
    resumed.begin_at(run.folder / "checkpoint_3_8.pt")
    resumed.train(*words)
    assert rates_by_update(resumed) == {update: rate for update, rate in wanted.items() if update > 8}


MULTILINGUAL = "--arch multilingual_transformer --lang-pairs de-en"  # its task has no dataclass


@pytest.mark.parametrize(
    "task, arch", [("translation", "--arch transformer"), ("multilingual_translation", MULTILINGUAL)]
)
def test_a_rate_without_effect_is_refused(new_run, task, arch):
    """``--prune-lr`` where nothing prunes; ``--lr``, which phased has two other names for, always."""
    run = new_run(task=f"prune_{task}", arch=arch)
    for rate, prunes in (("--prune-lr 0.02", ""), ("--lr 0.02", ""), ("--lr 0.02", METHODS["magnitude"])):
        with pytest.raises(SystemExit, match=f"^{rate}: has no effect here; .* e.g. --(prune-method|lr-ft) "):
            run.train("--lr-scheduler", "phased", *rate.split(), *prunes.split())


def test_a_task_that_never_tells_of_a_removal_has_no_scheduler_that_waits_for_it(new_run):
    with pytest.raises(SystemExit, match="^--lr-scheduler phased: --task translation prunes nothing; .* prune_trans"):
        new_run(task="translation").train("--lr-scheduler", "phased")


def test_a_scheduler_that_follows_the_removal_is_told_by_the_task(new_run, monkeypatch):
    """Before every update, whoever wrote it; nothing is put on the optimizer, and others are told nothing."""
    told, optimizers = [], []
    monkeypatch.setattr(FixedLRSchedule, "begin_finetuning", lambda self, epoch: told.append(epoch), raising=False)
    step = PruneMixin.optimizer_step

    def noting(self, optimizer, **rest):
        optimizers.append(dict(vars(optimizer)))
        step(self, optimizer, **rest)

    monkeypatch.setattr(PruneMixin, "optimizer_step", noting)
    words = ["--max-update", "4", "--prune-method", "magnitude", "--prune-target", "0.5", "--disable-validation"]
    new_run().train(*words, "--prune-start", "2up", "--lr-scheduler", "fixed")
    assert told == [None, None, 1, 1] and not any("begin_finetuning" in names for names in optimizers)
    new_run("other").train(*words, "--prune-start", "2up", "--lr-scheduler", "inverse_sqrt", "--warmup-updates", "1")
    assert len(told) == 4  # control


def rates_by_update(run):
    """From its checkpoints after updates within epochs."""
    files = {int(path.stem.split("_")[2]): path.name for path in run.folder.glob("checkpoint_?_*.pt")}
    return {update: rates_of(run.checkpoint(file))[0] for update, file in sorted(files.items())}
