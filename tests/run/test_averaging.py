"""Checkpoints averaged by fairseq's script: SRP models, cut and whole, and masked ones, whose masks it loses."""

import logging
from collections import OrderedDict

import pytest
import torch
from conftest import run_fairseq, words_of
from srp_diary import srp_run

from fairseq_prune.checkpoint.srp_load import WHOLE
from fairseq_prune.compat import load_checkpoint

SRP = words_of("--srp --compression-rate 0.3 --srp-pruning-updates 3 --max-update 6 --save-interval-updates 1")


def in_place(total, count):  # the script until 2020; it cannot divide integers
    return total.div_(count)


def by_type(total, count):  # the script since
    return total.div_(count) if total.is_floating_point() else total.floor_divide_(count)


def average(files, out, divide):
    """As ``scripts/average_checkpoints.py``: sums, divided; the settings are those of the first file."""
    states = [load_checkpoint(file) for file in files]
    total = OrderedDict((name, value.clone()) for name, value in states[0]["model"].items())
    for state in states[1:]:
        for name, value in state["model"].items():
            total[name] += value
    torch.save({**states[0], "model": OrderedDict((n, divide(v, len(files))) for n, v in total.items())}, out)
    return out


@pytest.fixture(scope="module")
def srp(tmp_path_factory, parallel):
    """A run with a checkpoint for each update, cut after the third."""
    run = srp_run(tmp_path_factory.mktemp("srp"), parallel)
    run.train(*SRP)
    return run


def file_of(run, update):
    return next(iter(run.folder.glob(f"checkpoint_*_{update}.pt")))


@pytest.mark.parametrize("divide", [in_place, by_type])
@pytest.mark.parametrize("updates", [(1, 2), (4, 5, 6)], ids=["shrinking", "cut"])
def test_srp_models(srp, parallel, tmp_path, capsys, divide, updates):
    files = [file_of(srp, update) for update in updates]
    out = average(files, tmp_path / "average.pt", divide)
    whole, averaged = (load_checkpoint(file)["model"] for file in (files[0], out))
    assert all(torch.equal(whole[name], averaged[name]) for name in WHOLE)
    assert not torch.equal(whole["encoder.layers.0.fc1.weight"], averaged["encoder.layers.0.fc1.weight"])
    words = "--task srp_translation --beam 2 --max-len-b 5 --cpu --num-workers 0 --batch-size 8"
    run_fairseq("generate", parallel, "--user-dir", "fairseq_prune", *words_of(words), "--path", out)
    assert "Generate test with beam=2" in capsys.readouterr().out


def test_other_cuts_do_not_mix(srp, parallel, tmp_path):
    """Widths are the same, positions are not."""
    other = srp_run(tmp_path / "other", parallel)
    other.train(*SRP, "--seed", "2")
    out = average([file_of(srp, 6), file_of(other, 6)], tmp_path / "average.pt", in_place)
    with pytest.raises(SystemExit, match="pos_emb_mask is an average of different numbers"):
        srp_run(tmp_path / "next", parallel).train("--pretrained-model", out)


def test_integers_of_earlier_versions_load(srp, parallel, tmp_path):
    checkpoint = load_checkpoint(file_of(srp, 6))
    integers = {name: checkpoint["model"][name].long() for name in WHOLE}
    torch.save({**checkpoint, "model": {**checkpoint["model"], **integers}}, tmp_path / "old.pt")
    new = srp_run(tmp_path / "new", parallel).train("--pretrained-model", tmp_path / "old.pt", "--lr", "0")
    assert all(torch.equal(new["model"][n], value) for n, value in checkpoint["model"].items())


def test_masked_models_say_that_masks_are_lost(new_run, tmp_path, caplog):
    run = new_run()
    run.train("--prune-method", "magnitude", "--prune-target", "0.5", "--save-interval-updates", "4")
    out = average([file_of(run, 4), file_of(run, 8)], tmp_path / "average.pt", in_place)
    with caplog.at_level(logging.WARNING):
        new_run("next").train("--finetune-from-model", out)
    assert "came without masks" in caplog.text and "--prune-target 0.50" in caplog.text
