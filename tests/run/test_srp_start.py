"""What SRP runs start from: stock weights, masks, weights whose units another run left at zero."""

import random

import numpy as np
import pytest
import torch
from conftest import TINY, USER_DIR, Run, masks_of, run_fairseq, same_tensors
from fairseq.trainer import Trainer
from srp_diary import ARCHS, QUIET, copies, keeping_a_diary, srp_run, widths

from fairseq_prune.engine.mixin import PruneMixin
from fairseq_prune.families.transformer.table import transformer_table

SRP = "--srp --compression-rate 0.4 --srp-pruning-updates 2 --max-update 4".split()
STILL = ["--lr", "0", "--max-update", "1", *QUIET]


@pytest.fixture(scope="module")
def stock(parallel, tmp_path_factory):
    """A stock Transformer trained by stock fairseq."""
    arch = f"--arch transformer --share-decoder-input-output-embed {TINY}"
    run = Run(tmp_path_factory.mktemp("stock"), parallel, "translation", arch)
    run.train("--max-update", "5", "--save-interval-updates", "5", *QUIET)
    return run


@pytest.fixture(scope="module")
def averaged(parallel, tmp_path_factory):
    """A run with moving averages, on masked weights: it ends with connectivity 0, uncut."""
    folder = tmp_path_factory.mktemp("averaged")
    masked = srp_run(folder / "masked", parallel)
    masked.train("--prune-method", "magnitude", "--prune-target", "0.3", "--max-update", "2", *QUIET)
    run = srp_run(folder / "run", parallel)
    with keeping_a_diary() as diary:
        run.train(*SRP, "--store-ema", "--ema-decay", "0.9", *start(masked, "--pretrained-model"), *QUIET)
    return run, diary


def start(run, option, name="checkpoint_last.pt"):
    return [option, run.folder / name]


@pytest.mark.parametrize("option", ["--pretrained-model", "--finetune-from-model"])
def test_stock_weights(stock, tmp_path, option):
    """They come as they are, with connectivity 1; SRP then cuts them."""
    theirs, mine = stock.checkpoint()["model"], srp_run(tmp_path / "still", stock.data)
    loaded = mine.train(*start(stock, option), *STILL)["model"]
    assert all(torch.equal(loaded[name], value) for name, value in theirs.items())
    assert {name for name in loaded if name not in theirs} == {
        *widths({"model": loaded}), "encoder.pos_emb_mask", "decoder.pos_emb_mask", "weighted_layer_norm"
    }  # fmt: skip
    cut = srp_run(tmp_path / "cut", stock.data).train(*SRP, *start(stock, option), *QUIET)
    assert widths(cut)["encoder.embedding_c"] < 16


def test_moving_averages_are_never_cut(averaged):
    """Connectivity ends at 0 in the model and in its average, in the old widths; a resume does not cut either."""
    run, diary = averaged
    end = run.checkpoint()
    assert not diary.cuts and set(diary.values()) == {0.5, 0.0}
    assert not diary.model.cuts_on_load
    for name, selected in diary.pages[0].selected.items():
        assert torch.equal(end["model"][name], (~selected).float())
        assert torch.equal(end["extra_state"]["ema"][name], (~selected).float())
    assert end["extra_state"]["SrpTranslationTask"]["events_left"] == 0
    words = ["--store-ema", "--ema-decay", "0.9", "--max-update", "6", *QUIET]
    resumed = run.train(*SRP, *words)
    assert widths(resumed) == widths(end) and resumed["optimizer_history"][-1]["num_updates"] == 6
    assert same_tensors({n: end["model"][n] for n in widths(end)}, {n: resumed["model"][n] for n in widths(end)})


def test_a_teacher_keeps_its_layer_norm(parallel, tmp_path):
    """``--weighted-layernorm`` is for the model that trains or, in fairseq-generate, for the one that translates."""
    plain = srp_run(tmp_path / "plain", parallel)
    plain.train("--srp-plain-layernorm", "--compression-rate", "0.4", "--max-update", "1", *QUIET)
    teacher = plain.folder / "checkpoint_last.pt"
    words = ["--weighted-layernorm", "--criterion", "srp", "--use-kd", "--srp-teacher", teacher, "--max-update", "1"]
    student = srp_run(tmp_path / "student", parallel).train(*words, *QUIET)
    assert student["model"]["weighted_layer_norm"] == 1 and plain.checkpoint()["model"]["weighted_layer_norm"] == 0
    with pytest.raises(SystemExit, match="^--weighted-layernorm: the checkpoint was pruned with plain layer norm"):
        run_fairseq(
            "generate", parallel, "--user-dir", USER_DIR, "--task", "srp_translation", "--weighted-layernorm",
            "--path", teacher, "--cpu", "--max-tokens", "200", "--num-workers", "0",
        )  # fmt: skip


def sliced(value, owners, keep):
    for axis, vector, *_ in owners:
        value = value.movedim(axis, 0)[keep[vector]].movedim(0, axis)
    return value


@pytest.mark.parametrize("words", [
    ["--pretrained-model"], ["--finetune-from-model"], ["--store-ema", "--finetune-from-model"],
], ids=" ".join)  # fmt: skip
def test_zero_connectivity_is_cut_when_loaded(averaged, tmp_path, words):
    """By the run that starts from such weights; masks that came with them are cut along and stay in force."""
    run, _ = averaged
    before = run.checkpoint()
    keep = {name: before["model"][name] != 0 for name in widths(before)}
    table = transformer_table(before["model"], shared=False)
    new = srp_run(tmp_path, run.data)
    still = new.train(*words, run.folder / "checkpoint_last.pt", *STILL)
    for name, value in before["model"].items():
        assert torch.equal(still["model"][name], sliced(value, table.get(name, ()), keep)), name
    assert masks_of(before) and masks_of(still).keys() == masks_of(before).keys()
    for name, mask in masks_of(before).items():
        assert torch.equal(masks_of(still)[name], sliced(mask, table[name], keep))
    trained = new.train(*words, run.folder / "checkpoint_last.pt", "--max-update", "3", *QUIET)
    for name, mask in masks_of(trained).items():
        assert not trained["model"][name][~mask].any() and not mask.all()
        assert not torch.equal(trained["model"][name], still["model"][name])
    if "--store-ema" in words:
        averages = trained["extra_state"]["ema"]
        assert {name: averages[name].shape for name in table} == {name: trained["model"][name].shape for name in table}


def test_a_resume_never_cuts(averaged, tmp_path):
    """Nor does a run by --restore-file, whose moments come along."""
    run, _ = averaged
    again = srp_run(tmp_path, run.data).train(*start(run, "--restore-file"), "--max-update", "7", *QUIET)
    assert widths(again) == widths(run.checkpoint())
    assert again["optimizer_history"][-1]["num_updates"] == 7


def test_masks_are_cut_along_in_the_run(averaged, tmp_path):
    """In a run without averages: the masks of what is left stay in force."""
    masked = srp_run(averaged[0].folder.parent / "masked", averaged[0].data)
    with keeping_a_diary() as diary:
        after = srp_run(tmp_path, masked.data).train(*SRP, *start(masked, "--finetune-from-model"), *QUIET)
    (cut,), before, masks = diary.cuts, masks_of(masked.checkpoint()), masks_of(after)
    assert before and masks.keys() == before.keys()
    for name, mask in masks.items():
        assert torch.equal(mask, sliced(before[name], cut.table[name], cut.keep))
        assert mask.shape == after["model"][name].shape and not after["model"][name][~mask].any()
    assert sum(int((~mask).sum()) for mask in masks.values()) > 100


REFUSED = {
    "--srp": "--pruning-stage 0: needs an architecture with connectivity, e.g. --arch srp_transformer",
    "--compression-rate 0.5": "--pruning-stage 0: needs an architecture",
    "--compression-rate 0.5 --prune-method magnitude --prune-target 0.5": "--prune-method magnitude: .* masks or cuts",
    "--srp --prune-method magnitude --prune-target 0.5": "--prune-method magnitude: a run either masks or cuts",
}


@pytest.mark.parametrize("words", REFUSED)
def test_mistakes(stock, tmp_path, words):
    """One line; a stock architecture with the SRP task is one if it is to be cut."""
    run = Run(tmp_path, stock.data, "srp_translation", stock.arch)
    with pytest.raises(SystemExit, match=REFUSED[words]) as caught:
        run.train(*words.split(), *QUIET)
    assert "\n" not in str(caught.value) and not list(tmp_path.glob("*.pt"))


@pytest.mark.parametrize(("words", "message"), [
    ("--srp --pruning-period 2 --max-update 23", "until update 24 .*--max-update 24, .*lower --pruning-period than 2"),
    ("--srp --srp-pruning-updates 25 --max-update 0 --max-epoch 2", "update 25 .*24 updates.*-epoch 3, .*than 25"),
    ("--compression-rate .5 --warming-up 1 --max-update 12", "--warming-up 1 is not .*--max-update 12 is .*epoch 1"),
    ("--compression-rate .001 --warming-up 1 --max-update 13", "--compression-rate 0.001: .* a residual width of 0"),
])  # fmt: skip
def test_mistakes_that_data_or_model_show(parallel, tmp_path, words, message):
    with keeping_a_diary() as diary, pytest.raises(SystemExit, match=message):
        srp_run(tmp_path, parallel).train(*words.split(), *QUIET)
    assert not diary.pages and not list(tmp_path.glob("*.pt"))


def test_pretrained_model_of_other_sizes(stock, tmp_path):
    wide = Run(tmp_path, stock.data, "srp_translation", ARCHS["separate"].replace("embed-dim 16", "embed-dim 8"))
    with pytest.raises(SystemExit, match="the checkpoint has 16 units of .*repeat the architecture options"):
        wide.train(*start(stock, "--pretrained-model"), *QUIET)


def test_a_stock_architecture_may_just_train(stock, tmp_path):
    run = Run(tmp_path, stock.data, "srp_translation", stock.arch)
    assert same_tensors(run.train("--max-update", "5", *QUIET)["model"], stock.checkpoint()["model"])


def test_from_the_midst_of_an_epoch(stock, tmp_path):
    """A run that goes on from another's checkpoint, five batches into the epoch, still cuts at its end."""
    words = "--srp --compression-rate 0.4 --pruning-period 1 --max-update 14 --reset-optimizer".split()
    with keeping_a_diary() as diary:
        srp_run(tmp_path, stock.data).train(*words, *start(stock, "--restore-file"), *QUIET)
    assert diary.values() == [torch.tensor(1 - t / 7).item() for t in range(1, 8)]
    assert diary.pages[diary.cuts[0].updates - diary.pages[0].updates + 1].epochs == 1


def test_skipped_updates_do_not_delay_the_cut(parallel, tmp_path, monkeypatch):
    """As when gradients overflow: fewer updates fit into the epochs, whose end is the end of the round anyway."""
    train_step, calls = Trainer.train_step, []

    def skipping(trainer, samples):
        calls.append(samples)
        return None if len(calls) in (2, 5) else train_step(trainer, samples)

    monkeypatch.setattr(Trainer, "train_step", skipping)
    words = "--srp --compression-rate 0.4 --pruning-period 1 --max-epoch 1 --max-update 0".split()
    with keeping_a_diary() as diary:
        end = srp_run(tmp_path, parallel).train(*words, *QUIET)
    assert len(diary.pages) == 10 and len(diary.cuts) == 1 and widths(end)["encoder.embedding_c"] < 16
    assert diary.values() == [torch.tensor(1 - t / 12).item() for t in range(1, 10)] + [0]


def test_scoring_in_a_run_leaves_no_trace(parallel, tmp_path, monkeypatch):
    """Neither in the model nor in the generators that dropout and the order of batches use."""
    score, seen = PruneMixin.gather_evidence, []

    def watched(task, model, *kind):
        epoch, criterion = task._clock._batches, task.scoring_criterion

        def traces():
            generators = torch.get_rng_state(), torch.tensor(np.random.get_state()[1].astype(np.int64))
            modes = [part.training for part in (*model.modules(), *criterion.modules())]
            return copies(model.state_dict()), generators, random.getstate(), modes, epoch.state_dict()

        before = traces()
        scores = score(task, model, *kind)
        seen.append(same_tensors(list(before), list(traces())))
        assert any(s.any() for s in scores.values())
        return scores

    monkeypatch.setattr(PruneMixin, "gather_evidence", watched)
    words = ["--compression-rate", "0.4", "--warming-up", "1", "--update-freq", "6", "--max-update", "3"]
    srp_run(tmp_path, parallel).train(*words, *QUIET)
    assert seen == [True]
