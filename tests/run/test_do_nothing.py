"""Without pruning, our tasks are stock fairseq to the bit."""

import subprocess
import sys
from functools import partial

import pytest
import torch
from conftest import TINY, masks_of, same_tensors

STOCK = {
    "prune_translation": ("translation", f"--arch transformer --share-all-embeddings --dropout 0.1 {TINY}"),
    "prune_language_modeling": (
        "language_modeling",
        "--arch transformer_lm --decoder-layers 1 --decoder-embed-dim 16 --decoder-ffn-embed-dim 32 "
        "--decoder-attention-heads 2 --dropout 0.1 --tokens-per-sample 32",
    ),
    "prune_masked_lm": (
        "masked_lm",
        "--arch roberta --encoder-layers 1 --encoder-embed-dim 16 --encoder-ffn-embed-dim 32 "
        "--encoder-attention-heads 2 --tokens-per-sample 32 --max-positions 64",
    ),
}


ALONE = """import sys, functools, torch
from fairseq_cli.train import cli_main
torch.cuda.amp.GradScaler = functools.partial(torch.amp.GradScaler, "cpu")
cli_main()
assert not any(name.startswith("fairseq_prune") for name in sys.modules)"""


@pytest.mark.filterwarnings("ignore:.*GradScaler.*", "ignore:.*lr_scheduler.step.*")
def test_none_equals_a_process_without_us(new_run, monkeypatch):
    """What we change in fairseq, as soon as we are imported, leaves scaled steps, clipping and averages as they are."""
    monkeypatch.setattr(torch.cuda.amp, "GradScaler", partial(torch.amp.GradScaler, "cpu"))
    words = "--amp --optimizer sgd --momentum 0.9 --clip-norm 0.5 --store-ema --ema-decay 0.9 --update-freq 2".split()
    ours = new_run("ours").train("--prune-method", "none", *words)
    alone = new_run("alone", task="translation")
    subprocess.run([sys.executable, "-c", ALONE, *map(str, alone.words(*words))], check=True, capture_output=True)
    plain = alone.checkpoint()
    assert same_tensors(plain["model"], ours["model"])
    assert same_tensors(plain["extra_state"]["ema"], ours["extra_state"]["ema"])
    start = new_run("start").train("--prune-method", "none", *words, "--lr", "1e-9")
    assert not same_tensors(plain["model"], start["model"])


@pytest.mark.parametrize("task", STOCK)
def test_none_equals_stock_fairseq(new_run, parallel, monolingual, task):
    data = parallel if task == "prune_translation" else monolingual
    stock, arch = STOCK[task]
    runs = {name: new_run(name, data=data, task=name, arch=arch) for name in (stock, task, "pruned")}
    runs["pruned"].task = task
    plain, ours = runs[stock].train(), runs[task].train("--prune-method", "none")
    pruned = runs["pruned"].train("--prune-method", "magnitude", "--prune-target", "0.5")
    assert same_tensors(plain["model"], ours["model"])
    assert same_tensors(plain["last_optimizer_state"], ours["last_optimizer_state"])
    assert not masks_of(ours)
    assert not same_tensors(plain["model"], pruned["model"])


def test_target_zero_does_nothing(new_run):
    ours = new_run("zero").train("--prune-method", "magnitude", "--prune-target", "0")
    assert same_tensors(ours["model"], new_run("plain", task="translation").train()["model"])
    assert not masks_of(ours)


def test_a_missing_file_to_restore_is_as_in_fairseq(new_run):
    """It starts from scratch; to prune what is not there is refused, see test_bad_input."""
    words = "--restore-file", "missing.pt"
    ours, plain = new_run("ours").train(*words), new_run("plain", task="translation").train(*words)
    assert same_tensors(ours["model"], plain["model"])
