"""A run that is resumed after its first epoch sees the batches of one that was never interrupted."""

from conftest import same_tensors


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
