"""``--prune-execute`` in fairseq's own commands."""

import logging

import pytest
import torch
from conftest import USER_DIR, Run, run_fairseq, words_of
from fairseq import checkpoint_utils
from fairseq_cli import eval_lm as eval_lm_command
from torch import nn

from fairseq_prune.cli.main import main
from fairseq_prune.compat import load_checkpoint
from fairseq_prune.engine import executing
from fairseq_prune.modules.csr.choice import Faster
from fairseq_prune.modules.csr.forms import CsrLinear, CsrLstm, CsrLstmCell

TASK = "prune_stateful_language_modeling"
COLUMNS = words_of("--batch-size 4 --batch-size-valid 3 --tokens-per-sample 11")


@pytest.fixture(scope="module")
def pruned(monolingual, tmp_path_factory):
    """A language model without nine tenths of its weights."""
    run = Run(tmp_path_factory.mktemp("pruned"), monolingual, TASK, "--arch rnn_lm_tiny")
    run.train(*COLUMNS, *words_of("--max-update 12 --prune-method magnitude --prune-target 0.9 --disable-validation"))
    return run.folder / "checkpoint_last.pt"


@pytest.fixture
def products(monkeypatch):
    """Names of the CSR layers that computed something."""
    seen = []
    for kind in (CsrLinear, CsrLstm, CsrLstmCell):

        def call(self, *given, kind=kind, own=kind.__call__):
            seen.append(kind.__name__)
            return own(self, *given)

        monkeypatch.setattr(kind, "__call__", call)
    return seen


def evaluation(path, monolingual, monkeypatch, *words):
    found = []
    monkeypatch.setattr(
        eval_lm_command, "eval_lm", lambda *a, own=eval_lm_command.eval_lm, **k: found.append(own(*a, **k)) or found[-1]
    )
    run_fairseq(
        "eval_lm", str(monolingual), "--user-dir", USER_DIR, "--task", TASK, "--path", str(path), "--gen-subset",
        "valid", "--cpu", *COLUMNS, *words,
    )  # fmt: skip
    monkeypatch.undo()
    return float(found[0]["loss"])


def test_eval_lm(pruned, monolingual, monkeypatch, products):
    dense = evaluation(pruned, monolingual, monkeypatch)
    assert not products
    assert evaluation(pruned, monolingual, monkeypatch, "--prune-execute", "csr") == pytest.approx(dense, abs=1e-5)


def test_the_layers_of_eval_lm(pruned, monolingual, products, monkeypatch):
    run_fairseq(
        "eval_lm", str(monolingual), "--user-dir", USER_DIR, "--task", TASK, "--path", str(pruned), "--gen-subset",
        "valid", "--cpu", *COLUMNS, "--prune-execute", "csr",
    )  # fmt: skip
    assert set(products) == {"CsrLinear", "CsrLstm"}


@pytest.mark.parametrize("change", [None, "older than the option", "of the stock task"])
def test_validate(pruned, tmp_path, change):
    """It builds the task of the file, not that of the command line, with what was typed there."""
    path, state = tmp_path / "model.pt", load_checkpoint(pruned)
    task = state["cfg"]["task"]
    if change:
        del task["prune_execute"]
    if change == "of the stock task":
        state["cfg"]["task"] = {name: v for name, v in task.items() if not name.startswith("prune_")}
        state["cfg"]["task"]["_name"] = "language_modeling"
    torch.save(state, path)
    for typed, kind in ({}, nn.Module), ({"prune_execute": "csr"}, Faster):
        (model,), _, _ = checkpoint_utils.load_model_ensemble_and_task([str(path)], arg_overrides=typed)
        forward = model.decoder.output_projection.forward
        assert isinstance(forward if kind is Faster else forward.__self__, kind)


def test_generate(module_run, parallel, products, capsys):
    """The output layer of a translation model."""
    run = module_run("translation")
    run.train(*words_of("--max-update 4 --prune-method magnitude --prune-target 0.9 --disable-validation"))
    texts = []
    for how in ("dense", "csr"):
        capsys.readouterr()
        run_fairseq(
            "generate", str(parallel), "--user-dir", USER_DIR, "--task", "prune_translation", "--path",
            str(run.folder / "checkpoint_last.pt"),
            "--gen-subset", "valid", "--cpu", "--beam", "2", "--max-len-b", "8", "--prune-execute", how,
        )  # fmt: skip
        texts.append([line for line in capsys.readouterr().out.splitlines() if line.startswith("D-")])
        assert bool(products) == (how == "csr")
    assert [line.split("\t")[2] for line in texts[0]] == [line.split("\t")[2] for line in texts[1]] != []


@pytest.mark.parametrize("words, said", [
    ("--prune-execute auto", "--prune-execute auto: has no effect here; leave it out, or give e.g. fairseq-eval-lm"),
    ("--prune-execute fast", "--prune-execute fast: give one of auto, dense, csr, e.g. --prune-execute auto"),
])  # fmt: skip
def test_training_never_runs_sparse(monolingual, tmp_path, words, said):
    run = Run(tmp_path / "no", monolingual, TASK, "--arch rnn_lm_tiny")
    with pytest.raises(SystemExit) as error:
        run.train(*COLUMNS, *words_of(words), "--max-update", "1")
    assert str(error.value).startswith(said)


def test_only_cpus(monolingual, pruned, monkeypatch):
    monkeypatch.setattr(executing.torch.cuda, "is_available", lambda: True)
    with pytest.raises(SystemExit, match="--prune-execute csr: for CPUs and float32; give --cpu and no --fp16"):
        run_fairseq(
            "eval_lm", str(monolingual), "--user-dir", USER_DIR, "--task", TASK, "--path", str(pruned), *COLUMNS,
            "--prune-execute", "csr",
        )  # fmt: skip


def test_sipo_finds_the_same(pruned, monolingual, tmp_path, products):
    records = []
    for how in ("dense", "csr"):
        folder = tmp_path / how
        main([
            "sipo", str(monolingual), "--checkpoint", str(pruned), "--save-dir", str(folder), "--generations", "2",
            "--max-drop", "0.1", "--prune-execute", how,
        ])  # fmt: skip
        records.append((folder / "best.pt").exists() and load_checkpoint(folder / "best.pt")["model"])
        assert bool(products) == (how == "csr")
    assert all(torch.equal(records[0][name], value) for name, value in records[1].items())


def test_a_layer_says_what_it_chose(caplog):
    layer = nn.Linear(8, 8)
    with torch.no_grad(), caplog.at_level(logging.INFO):
        nn.init.zeros_(layer.weight)[0, 0] = 1
        faster = Faster("out", lambda x: x, lambda: CsrLinear(layer.weight, None), clock=iter(range(100)).__next__)
        faster(torch.zeros(3, 8))
    assert "out: dense for 3 rows" in caplog.text and "1.6 % of the weights are left" in caplog.text
