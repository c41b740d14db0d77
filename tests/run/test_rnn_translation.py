"""fairseq's commands train, prune and translate with RNNSearch and LuongNet."""

import re

import pytest
import torch
from conftest import USER_DIR, masks_of, run_fairseq

ARCHS = ["rnnsearch_tiny", "luongnet_tiny"]
PRUNE = "--prune-method magnitude --prune-target 0.6 --prune-schedule cubic --prune-end 6up --prune-every 2up".split()


def translations(run, capsys, *words):
    """Hypotheses of the test set by sentence number, (score, text), and alignments, as fairseq-generate prints them.

    fairseq drops a last batch whose size is no multiple of --required-batch-size-multiple (default 8).
    """
    capsys.readouterr()
    run_fairseq(
        "generate", run.data, "--user-dir", USER_DIR, "--task", run.task, "--path", run.folder / "checkpoint_last.pt",
        "--cpu", "--beam", "5", "--max-len-b", "9", "--required-batch-size-multiple", "1",
        "--num-workers", "0", *words,
    )  # fmt: skip
    out = capsys.readouterr().out
    found = {int(n): (float(score), text) for n, score, text in re.findall(r"^H-(\d+)\t(\S+)\t(.*)$", out, re.M)}
    return found, re.findall(r"^A-\d+\t(.*)$", out, re.M)


@pytest.mark.parametrize("arch", ARCHS)
def test_train_and_generate(new_run, capsys, arch):
    """It learns, and translates a batch of sentences of different lengths as it does one at a time."""
    run = new_run(task="translation", arch=f"--arch {arch} --dropout 0")
    loss = run.train("--max-epoch", "6", "--max-update", "0", "--lr", "0.02")["extra_state"]["val_loss"]
    assert loss < 5.2  # bits; guessing among the 40 words costs 5.3
    together, alignments = translations(run, capsys, "--batch-size", "8")
    assert together.keys() == set(range(8)) and not alignments
    one_by_one, alignments = translations(run, capsys, "--batch-size", "1", "--print-alignment")
    assert one_by_one.keys() == set(range(8))
    for number, (score, text) in one_by_one.items():
        assert text == together[number][1]
        assert abs(score - together[number][0]) < 1e-4
    assert len({text for _, text in together.values()}) > 1
    assert len(alignments) == 8 and all(re.fullmatch(r"(\d+-\d+ ?)+", line) for line in alignments)


@pytest.mark.parametrize("arch", ARCHS)
def test_removed_weights_stay_zero(new_run, capsys, arch):
    run = new_run(arch=f"--arch {arch}")
    weights = run.train(*PRUNE)
    masks, model = masks_of(weights), weights["model"]
    matrices = [name for name, tensor in model.items() if tensor.dim() == 2]
    assert {"encoder.embed_tokens.weight", "decoder.layers.0.weight_hh"} <= masks.keys() <= set(matrices)
    removed = sum(int((~keep).sum()) for keep in masks.values())
    assert removed == round(0.6 * sum(model[name].numel() for name in matrices))
    before = {name: keep.clone() for name, keep in masks.items()}
    again = run.train(*PRUNE, "--max-update", "14")
    for name, keep in masks_of(again).items():
        assert torch.equal(keep, before[name])
        assert not again["model"][name][~keep].any()
        assert not torch.equal(again["model"][name], model[name])
    found, _ = translations(run, capsys, "--batch-size", "8")
    assert len(found) == 8


def test_an_impossible_size_is_one_line(new_run):
    with pytest.raises(SystemExit, match=r"^--hidden-size 9: .* e.g. 10$"):
        new_run(arch="--arch rnnsearch_tiny --hidden-size 9").train()
