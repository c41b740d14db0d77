"""SRP in two gloo processes: one selection, connectivity down to 0, cut by the run that follows."""

import re

import pytest
import torch
from conftest import words_of
from ranks import train_on
from srp_diary import ARCHS, QUIET, srp_run, widths

from fairseq_prune.compat import load_checkpoint
from fairseq_prune.families.transformer.table import transformer_table
from fairseq_prune.pruning.surgery.cut import cut_tensor

STEPS = """--optimizer sgd --lr 0.1 --momentum 0.9 --dropout 0 --batch-size 8 --required-batch-size-multiple 1
    --max-update 5""".split()
SRP = "--srp --compression-rate 0.4 --srp-pruning-updates 2 --pruning-iter 2 --srp-score-batches 4".split()
LOGGERS = ["fairseq_prune.methods.shrinking", "fairseq_prune.engine.removal"]


def command(data, folder, *words):
    return [
        data, "--task", "srp_translation",
        *words_of(ARCHS["separate"]), *STEPS, *QUIET,
        *"--criterion cross_entropy --cpu --num-workers 0 --no-epoch-checkpoints --log-format simple".split(),
        "--save-dir", folder, *words,
    ]  # fmt: skip


def selections(output):
    return re.findall(r"\(selection (\w+)\)", output)


@pytest.fixture(scope="module")
def two(parallel, tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    return folder, train_on(2, command(parallel, folder, *SRP), LOGGERS)


def test_ranks_agree_with_each_other_and_with_one_process(two, parallel, tmp_path, caplog):
    """On the same batches, dealt out to the ranks, both rounds select the same units; the rest trains alike."""
    folder, (first, second) = two
    words = [*STEPS, *SRP, "--update-freq", "2", *QUIET]
    alone = srp_run(tmp_path / "uncut", parallel).train(*words, "--store-ema")
    assert len(selections(first)) == 2
    assert selections(first) == selections(second) == selections(caplog.text)
    together = load_checkpoint(folder / "checkpoint_last.pt")["model"]
    for name, value in alone["model"].items():
        torch.testing.assert_close(together[name], value, rtol=0, atol=1e-5)
    keep, table = {name: together[name] == 1 for name in widths(alone)}, transformer_table(together, shared=False)
    cut = srp_run(tmp_path / "cut", parallel).train(*words)  # in each round; what is left trains alike again
    for name, value in cut["model"].items():
        torch.testing.assert_close(cut_tensor(together[name], table.get(name, ()), keep), value, rtol=0, atol=1e-5)


def test_ranks_do_not_cut(two):
    folder, outputs = two
    end = load_checkpoint(folder / "checkpoint_last.pt")
    assert all(o.count("connectivity 0, to be cut by fairseq-prune compact or by the run") == 2 for o in outputs)
    assert widths(end)["encoder.embedding_c"] == 16
    values = torch.cat([c for name, c in end["model"].items() if name in widths(end)])
    assert values.unique().tolist() == [0, 1]
    assert end["extra_state"]["SrpTranslationTask"]["events_left"] == 0


def test_the_run_that_follows_cuts(two, parallel, tmp_path):
    """One process or two; DDP notes the shapes before fairseq loads the weights."""
    start = ["--finetune-from-model", two[0] / "checkpoint_last.pt", "--lr", "0"]
    alone = srp_run(tmp_path / "alone", parallel).train(*STEPS, *start, *QUIET)
    left = {
        name: int((c == 1).sum()) for name, c in load_checkpoint(start[1])["model"].items() if name in widths(alone)
    }
    assert widths(alone) == left and left["encoder.embedding_c"] < 16
    train_on(2, command(parallel, tmp_path / "together", *start))
    together = load_checkpoint(tmp_path / "together" / "checkpoint_last.pt")
    assert all(torch.equal(value, together["model"][name]) for name, value in alone["model"].items())
    assert together["optimizer_history"][-1]["num_updates"] == 5
