"""A run that ends before it has removed what was asked says so in its last line; one that has does not."""

import contextlib
import logging

import pytest
from conftest import words_of
from srp_diary import srp_run

CUBIC = words_of("--prune-method magnitude --prune-target 0.5 --prune-schedule cubic --prune-end 6up --prune-every 2up")
GREG = words_of("--prune-method greg1 --prune-units neuron --prune-target 0.5 --reg-fit --prune-end 7up")
GREG += words_of("--update-reg-interval 1")
IMPATIENT = ["--stop-time-hours", "1e-9"]  # one update


def last_line(caplog, train, *words):
    with caplog.at_level(logging.INFO):
        train(*words)
    return caplog.messages[-1]


@pytest.mark.parametrize("method, said", [
    (CUBIC, "--prune-method magnitude completed 1 of 4 pruning events; 0.0000 removed"),
    (GREG, "--prune-method greg1 completed 1 of 1 pruning events, what was selected is not removed yet; 0.0000"),
], ids=["events", "a penalty"])  # fmt: skip
def test_a_run_that_ends_early(new_run, caplog, method, said):
    assert said in last_line(caplog, new_run().train, *method, *IMPATIENT)
    assert "NOT DONE" in caplog.messages[-1] and "--stop-time-hours" in caplog.messages[-1]


def test_a_run_that_did_what_was_asked(new_run, caplog):
    assert last_line(caplog, new_run().train, *CUBIC).startswith("done training")


def test_a_run_that_never_began(new_run, caplog):
    with contextlib.suppress(ValueError):  # there is no checkpoint
        last_line(caplog, new_run().train, *CUBIC, "--stop-min-lr", "1")
    assert "completed 0 of 4 pruning events" in caplog.messages[-1]


def test_an_srp_run(tmp_path, parallel, caplog):
    words = words_of("--srp --compression-rate 0.3 --srp-pruning-updates 6 --max-update 8 --optimizer srp_adam")
    said = last_line(caplog, srp_run(tmp_path, parallel).train, *words, *IMPATIENT)
    assert "--prune-method srp completed 1 of 1 pruning events, what was selected is not removed yet" in said
