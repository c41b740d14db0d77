"""Language models that read one unbroken stream: training, resume, pruning, refusals."""

import re
import shutil
from collections import namedtuple

import pytest
import torch
from conftest import masks_of, same_tensors
from fairseq import checkpoint_utils

from fairseq_prune.tasks.stateful_language_modeling import PruneStatefulLanguageModelingTask as Task
from fairseq_prune.tasks.stateful_language_modeling import StatefulLanguageModelingTask

TASK = "prune_stateful_language_modeling"
ACCURACY = "--criterion label_smoothed_cross_entropy --label-smoothing 0 --report-accuracy".split()
Step = namedtuple("Step", "trains tokens before after")
COLUMNS = "--batch-size 4 --batch-size-valid 3 --tokens-per-sample 11".split()


@pytest.fixture
def stateful(new_run, monolingual):
    """Runs of a tiny model in four columns and chunks of eleven rows."""

    def make(name="run", arch="--arch rnn_lm_tiny", task=TASK):
        run = new_run(name, data=monolingual, task=task, arch=arch)
        train = run.train
        run.train = lambda *words: train(*COLUMNS, *words)
        return run

    return make


@pytest.fixture
def steps(monkeypatch):
    """What every training or validation step read, and the states it began and ended with."""
    seen = []
    original = StatefulLanguageModelingTask._step

    def step(task, inner, carried, sample, *args, **kwargs):
        def recording(carrying, *args, **kwargs):
            before = carrying["net_input"]["carried"].state
            result = inner(carrying, *args, **kwargs)
            seen.append(Step(carried is task.carried, carrying["net_input"]["src_tokens"], before, carried.state))
            return result

        return original(task, recording, carried, sample, *args, **kwargs)

    monkeypatch.setattr(StatefulLanguageModelingTask, "_step", step)
    return seen


def stream_of(checkpoint):
    return checkpoint["extra_state"][Task.__name__]["stream"]


def test_chunks_in_order_each_from_the_last_state(stateful, steps):
    run = stateful()
    run.train("--max-update", "0", "--max-epoch", "2", "--update-freq", "3")
    _, _, task = checkpoint_utils.load_model_ensemble_and_task([str(run.folder / "checkpoint_last.pt")])
    for split in ("train", "valid"):
        task.load_dataset(split)
    splits = [("train", 4, [step for step in steps if step.trains])]
    splits += [("valid", 3, [step for step in steps if not step.trains])]
    for split, count, seen in splits:
        stream = task.dataset(split).in_columns(count, 11, task.dictionary.pad(), False)
        assert len(seen) == 2 * len(stream) > 4
        for epoch in (seen[: len(stream)], seen[len(stream) :]):
            assert torch.equal(torch.cat([step.tokens for step in epoch], 1), stream.columns[:, :-1])
            assert epoch[0].before is None
            for step, last in zip(epoch[1:], epoch, strict=False):
                assert same_tensors(step.before, last.after) and step.before[0].any()


def test_validation_leaves_the_training_state(stateful, steps, monkeypatch):
    never = stateful("never").train("--disable-validation")
    assert all(step.trains for step in steps)
    often = stateful("often").train("--validate-interval-updates", "2")
    assert sum(not step.trains for step in steps) > 8
    assert same_tensors(never["model"], often["model"])
    assert same_tensors(stream_of(never)["state"], stream_of(often)["state"])
    init = StatefulLanguageModelingTask.__init__

    def sharing(task, *args, **kwargs):
        init(task, *args, **kwargs)
        task.carried_in_evaluation = task.carried

    monkeypatch.setattr(StatefulLanguageModelingTask, "__init__", sharing)
    mixed = stateful("mixed").train("--validate-interval-updates", "2")  # the control
    assert not same_tensors(never["model"], mixed["model"])


@pytest.mark.parametrize("words", [
    "--max-update 12", "--max-update 12 --update-freq 2", "--max-update 12 --num-workers 1",
    "--max-update 24 --prune-method magnitude --prune-target 0.5 --prune-schedule linear --prune-end 22up",
])  # fmt: skip
def test_resumed_within_an_epoch(stateful, words):
    words = [*words.split(), "--save-interval-updates", "5"]
    whole = stateful("whole")
    end = whole.train(*words)
    assert stream_of(end)["state"][0].shape == (2, 4, 16) and stream_of(end)["state"][0].any()
    half = stateful("half")
    half.begin_at(whole.folder / "checkpoint_1_5.pt")
    after = half.train(*words)
    assert same_tensors(after["model"], end["model"])
    assert same_tensors(after["last_optimizer_state"]["state"], end["last_optimizer_state"]["state"])
    assert same_tensors(stream_of(after), stream_of(end))


def test_a_teacher_goes_on_from_its_own_state(stateful, steps, caplog):
    """It says what the same model says in every chunk, and the student reads on as without it; resumed as well."""
    dense = stateful("dense")
    dense.train("--max-update", "4", "--disable-validation")
    start = dense.folder / "checkpoint_last.pt"
    words = ["--finetune-from-model", start, "--lr", "0", "--dropout", "0", "--disable-validation"]
    words += ["--log-interval", "1", "--save-interval-updates", "5"]
    steps.clear()
    stateful("alone").train(*words)
    alone = [step.before for step in steps]
    assert "kd_loss" not in caplog.text
    steps.clear()
    taught = stateful("taught")
    taught.train(*words, "--prune-teacher", "self")
    assert len(alone) == 8 and alone[-1][0].any() and same_tensors([step.before for step in steps], alone)
    resumed = stateful("resumed")
    resumed.begin_at(taught.folder / "checkpoint_1_5.pt")
    resumed.train(*words, "--prune-teacher", "self")
    said = [float(value) for value in re.findall(r"kd_loss=([\d.]+)", caplog.text)]
    assert len(said) > 5 and max(said) == 0


def test_a_run_that_forgets_its_state(stateful):
    """The control: resumed in the same place from zeros, it ends elsewhere."""
    words = ["--max-update", "12", "--save-interval-updates", "5"]
    whole = stateful("whole")
    end, middle = whole.train(*words), whole.checkpoint("checkpoint_1_5.pt")
    stream_of(middle)["state"] = None
    lost = stateful("lost")
    lost.folder.mkdir()
    torch.save(middle, lost.folder / "checkpoint_last.pt")
    assert not same_tensors(lost.train(*words)["model"], end["model"])


def test_other_columns_within_an_epoch_are_refused(stateful):
    run = stateful()
    run.train("--max-update", "5")
    for option, value, before in (("--batch-size", "5", 4), ("--tokens-per-sample", "7", 11)):
        with pytest.raises(SystemExit, match=rf"{option} {value}: the run was interrupted .* with {before}; resume"):
            run.train("--max-update", "8", option, value)
    with pytest.raises(SystemExit, match="--prune-drop-remainder True: the run was interrupted .* with False"):
        run.train("--max-update", "8", "--prune-drop-remainder")
    run.train("--max-update", "8", "--batch-size", "5", "--reset-dataloader")  # a new epoch may


def test_other_columns_in_a_new_epoch(stateful):
    run = stateful()
    after = run.train("--max-update", "0", "--max-epoch", "1")
    assert stream_of(after)["state"] is None
    updates = after["optimizer_history"][-1]["num_updates"]
    more = run.train("--max-update", str(updates + 2), "--batch-size", "5")
    assert stream_of(more)["state"][0].shape == (2, 5, 16)


@pytest.mark.parametrize("task", [TASK, "prune_language_modeling"])
def test_pruned_and_stays_pruned(stateful, task):
    run = stateful(task=task)
    pruned = run.train("--prune-method", "magnitude", "--prune-target", "0.6", "--prune-scope", "layer",
                       "--prune-include", "*bias*", "--max-update", "12")  # fmt: skip
    masks = masks_of(pruned)
    removed = {name: int((~keep).sum()) for name, keep in masks.items()}
    assert removed == {name: round(0.6 * value.numel()) for name, value in pruned["model"].items()}
    assert not any(pruned["model"][name][~keep].any() for name, keep in masks.items())
    dense = run.train("--max-update", "16", "--prune-method", "none")
    assert not any(dense["model"][name][~keep].any() for name, keep in masks.items())
    assert not same_tensors(dense["model"], pruned["model"])


MISTAKES = {
    "--tokens-per-sample 0": "--tokens-per-sample 0: the rows of a chunk; give e.g. --tokens-per-sample 35",
    "--batch-size 5000": r"--batch-size 5000 .*5000 columns of \d+ tokens: give at least 1 and at most \d+",
    "--batch-size 0": "--batch-size is missing: .* e.g. --batch-size 20",
    "--batch-size-valid 5000": r"\(or --batch-size-valid\): 5000 columns of",
    "--arch lstm_lm": "--arch lstm_lm: its decoder carries no state; give e.g. --arch rnn_lm",
    "--add-bos-token": "--add-bos-token True: would break the stream",
    "--sample-break-mode eos": "--sample-break-mode eos: would break the stream .* leave it out",
    "--dropout 1.5": "--dropout 1.5: give a probability",
}


@pytest.mark.parametrize("words", MISTAKES)
def test_one_line(stateful, words):
    run = stateful()
    with pytest.raises(SystemExit, match=MISTAKES[words]) as caught:
        run.train(*words.split())
    assert "\n" not in str(caught.value.code) and not list(run.folder.glob("*.pt"))


def test_no_batch_size(new_run, monolingual):
    run = new_run(data=monolingual, task=TASK, arch="--arch rnn_lm_tiny")
    with pytest.raises(SystemExit, match="--batch-size is missing: .* e.g. --batch-size 20"):
        run.train()


def test_empty_split(stateful, monolingual, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(monolingual, data)
    (data / "valid.bin").write_bytes(b"")
    run = stateful()
    run.data = data
    with pytest.raises(SystemExit, match=r"DATA .*valid: an empty split; give fairseq-preprocess"):
        run.train()
