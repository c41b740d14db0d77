"""A training that has ended and is started again changes nothing, whatever ended it."""

import inspect

import pytest
from fairseq.trainer import Trainer

PRUNED = "--prune-method magnitude --prune-target 0.5 --prune-start 2up --save-interval-updates 3".split()
ENDS = {
    "--max-update": "--max-update 4 --disable-validation",
    "--max-epoch": "--max-update 0 --max-epoch 1",
    "--patience": "--max-update 0 --patience 1 --lr 0",
    "--stop-time-hours": "--max-update 0 --stop-time-hours 1e-9 --prune-start 0up --disable-validation",
}


def files_of(run):
    """All that the run has written, dict of name -> (bytes, time of the last change)."""
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in run.folder.iterdir()}


def updates_of(checkpoint):
    return checkpoint["optimizer_history"][-1]["num_updates"]


@pytest.mark.parametrize("option", ENDS)
def test_nothing_changes(new_run, caplog, option):
    words, run = [*PRUNED, *ENDS[option].split()], new_run()
    updates, before = updates_of(run.train(*words)), files_of(run)
    assert updates_of(run.train(*words)) == updates and files_of(run) == before
    assert option == "--max-epoch" or f"this training has ended, by {option} " in caplog.text


def test_a_later_end_and_another_folder_train_on(new_run):
    words, run = [*PRUNED, "--disable-validation", "--max-update"], new_run()
    run.train(*words, "4")
    other = new_run("other").train(*words, "4", "--restore-file", run.folder / "checkpoint_last.pt")
    assert updates_of(other) == 5  # as in fairseq
    assert updates_of(run.train(*words, "6")) == 6


def test_fairseq_itself_trains_an_update_more(new_run, monkeypatch):
    """Control."""
    words, run = ["--max-update", "4", "--disable-validation"], new_run(task="translation")
    run.train(*words)
    monkeypatch.setattr(Trainer, "load_checkpoint", inspect.unwrap(Trainer.load_checkpoint))
    assert updates_of(run.train(*words)) == 5
