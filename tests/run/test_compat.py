"""The workarounds."""

import argparse
import logging
import os
import shutil
import sys

import pytest
import torch
from conftest import USER_DIR, run_fairseq

from fairseq_prune import compat


def test_copies_are_atomic(tmp_path, monkeypatch):
    """A copy that dies leaves the old file whole."""
    from fairseq.file_io import PathManager

    compat.install()
    (tmp_path / "new").write_text("new")
    (tmp_path / "last").write_text("old")
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        PathManager.copy(str(tmp_path / "new"), str(tmp_path / "last"), overwrite=True)
    assert (tmp_path / "last").read_text() == "old"
    monkeypatch.undo()
    assert PathManager.copy(str(tmp_path / "new"), str(tmp_path / "last"), overwrite=True)
    assert (tmp_path / "last").read_text() == "new"
    assert not (tmp_path / "last.tmp").exists()


def test_installing_twice_changes_nothing():
    from fairseq import checkpoint_utils
    from fairseq.file_io import PathManager

    before = checkpoint_utils.load_checkpoint_to_cpu, PathManager.copy
    compat.install()
    assert (checkpoint_utils.load_checkpoint_to_cpu, PathManager.copy) == before


@pytest.fixture
def debugging(monkeypatch):
    """Call it as logging.basicConfig: with level=DEBUG alone it is fairseq's import; the root's level after ours."""

    def configure(**settings):
        monkeypatch.setattr(logging.root, "handlers", [])
        monkeypatch.setattr(logging.root, "level", logging.WARNING)
        logging.basicConfig(**settings)
        compat.install()
        level = logging.getLevelName(logging.root.level)
        logging.root.setLevel("WARNING")  # which empties a cache that monkeypatch does not know
        return level

    return configure


@pytest.mark.parametrize(("asked", "level"), [("", "INFO"), ("debug", "DEBUG"), ("WARNING", "WARNING"), ("x", "INFO")])
def test_the_import_of_fairseq_turns_no_debugging_on(asked, level, debugging, monkeypatch):
    """matplotlib, torch and others would tell their inner lives wherever a program's first import is fairseq."""
    monkeypatch.setenv("LOGLEVEL", asked)
    assert debugging(level=logging.DEBUG) == level


@pytest.mark.parametrize("settings", [{"format": "%(message)s"}, {"stream": sys.stdout}, {"handlers": []}])
def test_logging_of_another_stays(settings, debugging):
    assert debugging(level=logging.DEBUG, **settings) == "DEBUG"
    assert debugging(level=logging.ERROR, **settings) == "ERROR"


def test_old_checkpoints_with_a_namespace_load(tmp_path):
    import numpy as np

    path = tmp_path / "old.pt"
    torch.save({"args": argparse.Namespace(arch="x"), "model": {"w": torch.ones(1)}, "best": np.float64(1.5)}, path)
    state = compat.load_checkpoint(path)
    assert state["args"].arch == "x"
    assert state["best"] == 1.5


def test_a_plain_run_resumes(new_run):
    """Stock fairseq cannot resume on torch >= 2.6; with our user-dir its own task can."""
    run = new_run(task="translation")
    run.train("--max-update", "3")
    shutil.copy(run.folder / "checkpoint_last.pt", run.folder / "three.pt")
    assert run.train("--max-update", "5")["optimizer_history"][-1]["num_updates"] == 5
    run_fairseq(
        "validate", run.data, "--user-dir", USER_DIR, "--task", "translation", "--path", run.folder / "three.pt",
        "--cpu", "--num-workers", "0", "--max-tokens", "99",
    )  # fmt: skip


def test_what_goes_on_from_a_file_may_forget_its_best():
    extra = {"best": 1.0, "val_loss": 2.0, "trainer": {"patience": {"best": 1.0, "num_runs": 2}, "amp_retries": 1}}
    compat.forget_best_of(extra)
    assert extra == {"val_loss": 2.0, "trainer": {"amp_retries": 1}}
    compat.forget_best_of(stock := {"val_loss": 2.0})
    assert stock == {"val_loss": 2.0}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_what_is_shared_is_moved_once(dtype):
    from fairseq import utils

    compat.install()
    weight = torch.ones(2, 3, dtype=dtype)
    moved = utils.move_to_cpu({"a": weight, "b": [weight], "part": weight[:1], "empty": weight[:0]})
    assert moved["a"] is moved["b"][0] and moved["a"].equal(torch.ones(2, 3))
    assert (moved["part"].shape, moved["empty"].shape) == ((1, 3), (0, 3))
