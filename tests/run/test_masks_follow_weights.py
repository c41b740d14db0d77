"""Wherever weights come from a pruned checkpoint, its masks come along."""

from collections import OrderedDict

import pytest
import torch
from conftest import masks_of, same_tensors

PRUNED = ["--prune-method", "magnitude", "--prune-target", "0.7"]


@pytest.fixture
def pruned(new_run):
    run = new_run("pruned")
    run.train(*PRUNED)
    return run


def still_zero(checkpoint, masks):
    return all(not checkpoint["model"][name][~keep].any() for name, keep in masks.items())


WAYS = {
    "finetune": ["--finetune-from-model"],
    "reset-dataloader": ["--reset-dataloader", "--max-update", "16", "--restore-file"],
    "restore": ["--max-update", "16", "--restore-file"],
    "finetune-sgd": ["--optimizer", "sgd", "--lr", "0.1", "--momentum", "0.9", "--finetune-from-model"],
}


@pytest.mark.parametrize("way", WAYS)
def test_none_keeps_the_masks(new_run, pruned, way):
    before = pruned.checkpoint()
    after = new_run("after").train(*WAYS[way], pruned.folder / "checkpoint_last.pt")
    masks = masks_of(before)
    assert same_tensors(masks_of(after), masks)
    assert still_zero(after, masks)
    assert not same_tensors(before["model"], after["model"])  # control: it has trained


def test_without_masks_weights_revive(new_run, pruned):
    """The control: the same finetuning by a stock task, which knows no masks."""
    masks = masks_of(pruned.checkpoint())
    after = new_run("stock", task="translation").train("--finetune-from-model", pruned.folder / "checkpoint_last.pt")
    assert not still_zero(after, masks)


def test_pruning_further_only_removes_more(new_run, pruned):
    masks = masks_of(pruned.checkpoint())
    more = new_run("more").train(
        "--finetune-from-model",
        pruned.folder / "checkpoint_last.pt",
        "--prune-method",
        "random",
        "--prune-target",
        "0.9",
    )
    assert still_zero(more, masks)
    removed, total = (sum(f(m) for m in masks_of(more).values()) for f in (lambda m: int((~m).sum()), torch.numel))
    assert removed >= round(0.9 * total)


def test_half_of_what_is_removed_is_refused(new_run, pruned):
    with pytest.raises(SystemExit, match=r"--prune-target 0.3: 0.7\d* of 'all' is removed already"):
        new_run("less").train(
            "--finetune-from-model", pruned.folder / "checkpoint_last.pt",
            "--prune-method", "magnitude", "--prune-target", "0.3",
        )  # fmt: skip


def test_resume_with_another_plan_is_refused(pruned):
    with pytest.raises(
        SystemExit, match=r"--prune-target \*=0.9: the interrupted run had \*=0.7; resume with the same"
    ):
        pruned.train("--prune-method", "magnitude", "--prune-target", "0.9", "--max-update", "16")


@pytest.mark.parametrize("precision", [[], ["--ema-fp32"]])
def test_averages_started_from_a_checkpoint_are_masked(new_run, precision):
    """Masked at the event, so exactly zero although the average moves by a tenth only."""
    dense = new_run("dense")
    dense.train("--max-update", "3")
    ema = ["--store-ema", "--ema-decay", "0.9", *precision]
    after = new_run("after").train(
        *PRUNED, "--prune-start", "3up", "--finetune-from-model", dense.folder / "checkpoint_last.pt", *ema
    )
    averages = after["extra_state"]["ema_fp32_params" if precision else "ema"]
    assert masks_of(after)
    for name, keep in masks_of(after).items():
        assert not averages[name][~keep].any()
        assert averages[name][keep].any()


def test_an_unfinished_schedule_is_not_dropped(new_run):
    run = new_run()
    gradual = [*PRUNED, "--prune-schedule", "linear", "--prune-end", "6up"]
    run.train(*gradual, "--max-update", "8", "--save-interval-updates", "3")
    (run.folder / "checkpoint_1_3.pt").rename(run.folder / "checkpoint_last.pt")
    with pytest.raises(SystemExit, match="was not through pruning; resume with its options, e.g. --prune-method mag"):
        run.train()
    run.train(*gradual)
    run.train("--max-update", "10")  # control: a finished one goes on without


def test_zeros_without_masks_are_pointed_out(new_run, pruned, caplog):
    """Averaging checkpoints rebuilds the state dict, which loses the metadata."""
    state = pruned.checkpoint()
    state["model"] = OrderedDict(state["model"])
    torch.save(state, pruned.folder / "average.pt")
    new_run("after").train("--finetune-from-model", pruned.folder / "average.pt")
    assert "came without masks" in caplog.text
    caplog.clear()
    new_run("control").train("--finetune-from-model", pruned.folder / "checkpoint_last.pt")
    assert "came without masks" not in caplog.text


def test_best_begins_anew_after_pruning(new_run):
    """checkpoint_best.pt is a pruned one, although the dense model's loss was lower."""
    new_run("dense").train("--max-update", "80", "--disable-validation")
    run = new_run("pruned-late")
    run.train(
        "--finetune-from-model", new_run("dense").folder / "checkpoint_last.pt", "--lr", "1e-9",
        "--prune-method", "magnitude", "--prune-target", "0.95", "--prune-start", "4up",
        "--save-interval-updates", "1",
    )  # fmt: skip
    assert masks_of(run.checkpoint("checkpoint_best.pt"))
