"""Interrupted SRP runs go on to the same bits; half-shrunk checkpoints are ordinary ones; the best is a cut one."""

import re
import shutil

import pytest
import torch
from conftest import USER_DIR, run_fairseq, same_tensors
from srp_diary import QUIET, keeping_a_diary, srp_run, widths
from validation import validated_loss

from fairseq_prune.engine.mixin import PruneMixin
from fairseq_prune.tasks.srp_translation import SrpTranslationTask

UPDATES = "--srp --compression-rate 0.4 --srp-pruning-updates 3 --pruning-iter 2 --max-update 8".split()
EPOCHS = """--srp --compression-rate 0.4 --pruning-period 2 --decreasing ea --update-freq 5 --max-epoch 3
    --max-update 0 --save-interval-updates 1""".split()


@pytest.fixture(scope="module")
def whole(parallel, tmp_path_factory):
    """A run of two rounds with a validated checkpoint after every update, stopped too early by no one."""
    run = srp_run(tmp_path_factory.mktemp("whole"), parallel)
    run.train(*UPDATES, "--save-interval-updates", "1", "--weight-decay", "0.1", "--patience", "1")
    return run


@pytest.fixture(scope="module")
def by_epochs(parallel, tmp_path_factory):
    """Epochs of 3 updates; fairseq does not number the checkpoint at the end of an epoch, so it is copied."""
    run, begin_epoch = srp_run(tmp_path_factory.mktemp("by-epochs"), parallel), SrpTranslationTask.begin_epoch

    def copying(task, epoch, model):
        if epoch > 1:
            shutil.copy(run.folder / "checkpoint_last.pt", run.folder / f"checkpoint{epoch - 1}.pt")
        begin_epoch(task, epoch, model)

    with pytest.MonkeyPatch.context() as patch, keeping_a_diary() as diary:
        patch.setattr(SrpTranslationTask, "begin_epoch", copying)
        run.train(*EPOCHS, *QUIET)
    return run, diary


def stopped(run, name, tmp_path, task="srp_translation"):
    """A run that was killed right after it wrote that checkpoint."""
    copy = srp_run(tmp_path / "stopped", run.data, task=task)
    copy.begin_at(run.folder / name)
    return copy


def state_of(checkpoint):
    return checkpoint["extra_state"]["SrpTranslationTask"]


def assert_same(whole, resumed):
    """Weights, connectivity, positions; moments; the place in the plan."""
    assert same_tensors(whole["model"], resumed["model"])
    assert same_tensors(whole["last_optimizer_state"]["state"], resumed["last_optimizer_state"]["state"])
    assert same_tensors(state_of(whole), state_of(resumed))
    assert whole["optimizer_history"][-1]["num_updates"] == resumed["optimizer_history"][-1]["num_updates"]


@pytest.mark.parametrize("stop", [1, 3, 5, 6])
def test_interrupted_equals_uninterrupted(whole, tmp_path, stop):
    """In the midst of either round, right after either cut, and later; options that start a run are passed over."""
    half = stopped(whole, f"checkpoint_1_{stop}.pt", tmp_path)
    before = half.checkpoint()
    assert (state_of(before)["approach"] is None) == (stop in (3, 6))
    assert not same_tensors(before["model"], whole.checkpoint()["model"])  # control: there was something left to do
    with keeping_a_diary() as diary:
        after = half.train(*UPDATES, "--weight-decay", "0.1", "--pretrained-model", "gone.pt", *QUIET)
    assert_same(whole.checkpoint(), after)
    assert len(diary.pages) == 8 - stop and len(diary.cuts) == (stop < 3) + (stop < 6)


@pytest.mark.parametrize(("name", "done"), [("checkpoint_1_2", 2), ("checkpoint1", 3), ("checkpoint2", 6)])
def test_interrupted_by_epochs(by_epochs, tmp_path, name, done):
    """The same selection, connectivity, time of the cut and bits, also after the first epoch."""
    run, whole = by_epochs
    with keeping_a_diary() as diary:
        after = stopped(run, f"{name}.pt", tmp_path).train(*EPOCHS, *QUIET)
    assert diary.values() == whole.values()[done:] and whole.values() == [0.5] * 3 + [0] * 3
    assert [cut.updates for cut in diary.cuts] == [5] * (done < 6)
    for mine, theirs in zip(diary.pages, whole.pages[done:], strict=True):
        assert (mine.epochs, mine.updates) == (theirs.epochs, theirs.updates)
        assert same_tensors(mine.selected, theirs.selected)
    assert widths(after) == widths(run.checkpoint())
    assert same_tensors(after["model"], run.checkpoint()["model"])


def test_either_task_name(whole, tmp_path):
    """The seed's SRPtranslation goes on where srp_translation stopped."""
    assert_same(whole.checkpoint(), stopped(whole, "checkpoint_1_4.pt", tmp_path, "SRPtranslation").train(
        *UPDATES, "--weight-decay", "0.1", *QUIET))  # fmt: skip


@pytest.mark.parametrize(("words", "message"), [
    ("--compression-rate 0.3", "--compression-rate 0.3: the interrupted run had 0.4; resume with the same options"),
    ("--decreasing sg", "--decreasing sg: the interrupted run had sa"),
    ("--pruning-iter 1", "rounds in 1 steps from 0ep: the interrupted run had rounds in 2 steps"),
    ("--srp-score squared", "--srp-score squared: the interrupted run had connectivity;"),
    ("--pruning-stage 1", "--pruning-stage 1: the interrupted run had width;"),
])  # fmt: skip
def test_another_plan_is_refused(whole, tmp_path, words, message):
    half = stopped(whole, "checkpoint_1_2.pt", tmp_path)
    with pytest.raises(SystemExit, match=message) as caught:
        half.train(*UPDATES, *words.split(), *QUIET)
    assert "--finetune-from-model" in str(caught.value) and "\n" not in str(caught.value)
    assert same_tensors(half.checkpoint()["model"], whole.checkpoint("checkpoint_1_2.pt")["model"])


def test_another_seed_scores_on_the_batches_of_the_first(whole, tmp_path, monkeypatch):
    half, seeds, scoring = stopped(whole, "checkpoint_1_2.pt", tmp_path), [], PruneMixin.scoring_batches
    monkeypatch.setattr(PruneMixin, "scoring_batches", lambda *a: seeds.append(a[-1]) or scoring(*a))
    half.train(*UPDATES, "--seed", "7", *QUIET)
    assert seeds == [1]
    srp_run(tmp_path / "fresh", whole.data).train(*UPDATES, "--seed", "7", "--max-update", "6", *QUIET)  # control
    assert seeds == [1, 7, 7]


def test_without_options(whole, tmp_path):
    """A run that is through may go on plainly; one that is not may not."""
    half = stopped(whole, "checkpoint_1_2.pt", tmp_path)
    with pytest.raises(SystemExit, match="the interrupted run had not finished pruning; .* --prune-method srp$"):
        half.train(*QUIET)
    shutil.rmtree(half.folder)
    done = stopped(whole, "checkpoint_1_6.pt", tmp_path)
    after = done.train("--weight-decay", "0.1", *QUIET)
    assert same_tensors(after["model"], whole.checkpoint()["model"])


def scores(capsys, path, data):
    capsys.readouterr()
    run_fairseq(
        "generate", data, "--user-dir", USER_DIR, "--task", "srp_translation", "--path", path, "--cpu",
        "--max-tokens", "100", "--beam", "2", "--max-len-b", "5", "--num-workers", "0",
    )  # fmt: skip
    return re.findall(r"^H-.*", capsys.readouterr().out, re.MULTILINE)


def without_connectivity(run, name, path):
    """The same checkpoint with all connectivity 1."""
    state = torch.load(run.folder / name, weights_only=False)
    for key, value in state["model"].items():
        if key.endswith("_c"):
            value.fill_(1)
    torch.save(state, path)
    return path


def test_half_shrunk_checkpoints_evaluate_as_in_training(whole, tmp_path, capsys):
    """fairseq-validate and fairseq-generate apply connectivity, like the validation of the run itself."""
    name = "checkpoint_1_2.pt"
    c = whole.checkpoint(name)["model"]["encoder.embedding_c"]
    assert c.unique().tolist() == [torch.tensor(1 / 3).item(), 1]
    ones = without_connectivity(whole, name, tmp_path / "ones.pt")
    expected = whole.checkpoint(name)["extra_state"]["val_loss"]
    assert validated_loss(whole.data, whole.task, whole.folder / name) == pytest.approx(expected, abs=1e-3)
    assert abs(validated_loss(whole.data, whole.task, ones) - expected) > 5e-3
    assert len(scores(capsys, whole.folder / name, whole.data)) == 8
    assert scores(capsys, whole.folder / name, whole.data) != scores(capsys, ones, whole.data)


def test_half_shrunk_weights_give_a_warning(whole, tmp_path, caplog):
    """Taken into another run they stay half shrunk, unless that selects them."""
    run = srp_run(tmp_path / "new", whole.data)
    run.train("--pretrained-model", whole.folder / "checkpoint_1_2.pt", "--max-update", "1", *QUIET)
    count = sum(int((v == 1 / 3).sum()) for v in whole.checkpoint("checkpoint_1_2.pt")["model"].values())
    assert re.search(rf"{count} units come half shrunk, .* better resume", caplog.text) and count > 20


def test_best_is_chosen_after_the_last_cut(whole):
    """A model that shrinks gets worse; neither that nor patience (1 here) ends the search before the cut."""
    for update in range(1, 6):
        assert whole.checkpoint(f"checkpoint_1_{update}.pt")["extra_state"]["best"] == float("-inf")
    cut = whole.checkpoint("checkpoint_1_6.pt")["extra_state"]
    assert cut["best"] == cut["val_loss"]
    best = whole.checkpoint("checkpoint_best.pt")
    assert best["optimizer_history"][-1]["num_updates"] >= 6
    assert widths(best) == widths(whole.checkpoint()) and widths(best)["encoder.embedding_c"] < 16


@pytest.mark.parametrize("words", [
    "--srp --srp-pruning-updates 3 --best-checkpoint-metric loss --maximize-best-checkpoint-metric",
    "--warming-up 1 --update-freq 5 --best-checkpoint-metric ppl",
])  # fmt: skip
def test_no_best_before(parallel, tmp_path, words):
    """Also where more is better, and for a cut at once after an epoch of plain training."""
    run = srp_run(tmp_path, parallel)
    run.train("--compression-rate", "0.5", "--save-interval-updates", "1", "--max-update", "5", *words.split())
    for update in (1, 2):
        before = run.checkpoint(f"checkpoint_1_{update}.pt")["extra_state"]
        assert before["best"] == (float("inf") if "maximize" in words else float("-inf"))
        assert 0 < before["val_loss"] < float("inf")
    best = run.checkpoint("checkpoint_best.pt")
    assert best["optimizer_history"][-1]["num_updates"] >= 3 and widths(best)["encoder.embedding_c"] < 16
