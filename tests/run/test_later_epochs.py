"""A run that is resumed after its first epoch sees the batches of one that was never interrupted."""

import pytest
from conftest import same_tensors
from fairseq import checkpoint_utils
from fairseq_cli import train


def epochs(count):
    return "--max-epoch", str(count), "--max-update", "0"


def test_interrupted_after_an_epoch(new_run):
    whole = new_run("whole").train(*epochs(3))
    parts = new_run("parts")
    first = parts.train(*epochs(1))
    resumed = parts.train(*epochs(3))
    assert same_tensors(resumed["model"], whole["model"])
    assert same_tensors(resumed["last_optimizer_state"], whole["last_optimizer_state"])
    assert not same_tensors(first["model"], whole["model"])


def test_stock_fairseq_does_not_promise_that(new_run):
    whole = new_run("whole", task="translation").train(*epochs(3))
    parts = new_run("parts", task="translation")
    parts.train(*epochs(1))
    assert not same_tensors(parts.train(*epochs(3))["model"], whole["model"])


def test_patience_goes_on(new_run):
    """Early stopping counts the validations before the interruption."""
    words = [*epochs(9), "--patience", "3", "--lr", "0"]
    whole, parts = new_run("whole").train(*words), new_run("parts")
    assert epoch_of(whole) == 4
    parts.train(*words, "--max-epoch", "2")
    assert epoch_of(parts.train(*words)) == 4


def test_a_training_knows_nothing_of_another_in_its_process(new_run):
    """fairseq keeps the best value and the patience in its functions, where the next training would find them."""
    for holder in (checkpoint_utils.save_checkpoint, train.should_stop_early):
        holder.best, holder.num_runs = -1.0, 2
    run = new_run()
    assert epoch_of(run.train(*epochs(3), "--patience", "3")) == 3
    assert run.checkpoint("checkpoint_best.pt")["extra_state"]["best"] > 0


@pytest.mark.parametrize("kind", ["--ema-update-freq 3", "--ema-fp32", "--ema-start-update 3"])
def test_averages_go_on(new_run, kind):
    words = f"--store-ema --ema-decay 0.5 {kind} --disable-validation".split()
    whole, parts = new_run("whole").train(*words), new_run("parts")
    first = parts.train(*words, "--max-update", "4")
    after = parts.train(*words)
    for name in ("ema", "ema_fp32_params"):
        assert same_tensors(after["extra_state"].get(name), whole["extra_state"].get(name))
    assert not same_tensors(first["extra_state"]["ema"], after["extra_state"]["ema"])


def epoch_of(checkpoint):
    """Epochs that are complete."""
    return checkpoint["extra_state"]["train_iterator"]["epoch"] - 1
