"""docs/python.md, as it is printed; and what the door refuses."""

import re
from pathlib import Path

import pytest
import torch
from conftest import USER_DIR, run_fairseq

import fairseq_prune
from fairseq_prune.compat import load_checkpoint

PAGE = Path(__file__).parents[2] / "docs" / "python.md"


def test_the_page(new_run, tmp_path, monkeypatch, capsys):
    dense = new_run("checkpoints/dense", task="translation").train()
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)
    exec(compile(code, PAGE, "exec"), {})
    assert re.match(r"\d\d\.\d% removed, [\d,]+ parameters, [\d,]+ MACs", capsys.readouterr().out)
    pruned = load_checkpoint("checkpoints/pruned.pt")
    before, after = (file["model"]["encoder.layers.0.fc1.weight"] for file in (dense, pruned))
    assert len(after) < len(before)
    data = dense["cfg"]["task"]["data"]
    words = "--task prune_translation --path checkpoints/pruned.pt --cpu --beam 1 --max-len-b 5".split()
    run_fairseq("generate", data, "--user-dir", USER_DIR, *words)
    assert "Generate test with beam=1" in capsys.readouterr().out


def test_compact(new_run, tmp_path):
    run = new_run()
    run.train("--prune-method", "l1", "--prune-units", "head", "--prune-target", "0.5")
    model = fairseq_prune.load(run.folder / "checkpoint_last.pt")
    with torch.no_grad():
        model.encoder.layers[0].fc1.weight[:5] = 0
    fairseq_prune.save(model, tmp_path / "zeros.pt", like=run.folder / "checkpoint_last.pt")
    report = fairseq_prune.compact(tmp_path / "zeros.pt", tmp_path / "cut.pt")
    assert report["removed"]["neuron"] == 5 and report["after"]["params"] < report["before"]["params"]


def test_shares_by_shape_need_no_data():
    """Of 20 weights and of 100 half in all; the small layer keeps a larger share."""
    model = torch.nn.Sequential(torch.nn.Linear(2, 10), torch.nn.Linear(10, 10))
    assert fairseq_prune.prune(model, target="0.5erk") == 0.5
    small, large = (int((layer.weight == 0).sum()) for layer in model)
    assert (small, large) == (0, 60)


def test_what_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no such file"):
        fairseq_prune.load(tmp_path / "none.pt")
    with pytest.raises(ValueError, match="needs training"):
        fairseq_prune.prune(torch.nn.Linear(2, 2), "snip", target=0.5)
    with pytest.raises(AttributeError, match="has no attribute 'prnue'"):
        fairseq_prune.prnue  # noqa: B018
