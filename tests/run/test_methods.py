"""One table of methods; each row buys these tests."""

import shutil

import pytest
from conftest import masks_of, same_tensors

from fairseq_prune.pruning.methods import METHODS
from fairseq_prune.pruning.units import is_coupled, parse_units

# Those of coupled units, which Transformers have by other names, are tested in tests/vision.
PRUNING = [name for name in METHODS if METHODS[name].prunes and not is_coupled(parse_units(METHODS[name].units))]
GRADUAL = "--prune-target 0.6 --prune-schedule cubic --prune-end 6up --prune-every 2up".split()
OPTIMIZERS = {
    "adam": [],
    "adam-decay": ["--weight-decay", "0.1"],
    "sgd": ["--optimizer", "sgd", "--momentum", "0.9", "--weight-decay", "0.01", "--lr", "0.1"],
    "ema": ["--store-ema", "--ema-decay", "0.9"],
    "amp": ["--amp"],
}


def options_of(method):
    return ["--prune-method", method, *GRADUAL]


def removed_and_sizes(checkpoint):
    """Zeros under the masks, and sizes of the prunable tensors (matrices; shared ones once)."""
    seen = {t.data_ptr(): t.numel() for t in checkpoint["model"].values() if t.dim() >= 2}
    return sum(int((~m).sum()) for m in masks_of(checkpoint).values()), list(seen.values())


@pytest.mark.parametrize("method", PRUNING)
def test_exact_count_and_zero_under_the_mask(new_run, method):
    checkpoint = new_run().train(*options_of(method))
    removed, sizes = removed_and_sizes(checkpoint)
    groups = [sum(sizes)] if METHODS[method].scope == "global" else sizes
    assert removed == sum(round(0.6 * size) for size in groups)
    for name, keep in masks_of(checkpoint).items():
        assert (checkpoint["model"][name][~keep] == 0).all()
        assert (checkpoint["model"][name][keep] != 0).float().mean() > 0.9


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("method", PRUNING)
def test_stays_pruned(new_run, method, optimizer):
    """After further updates, weights and averages are still masked."""
    checkpoint = new_run().train(*options_of(method), *OPTIMIZERS[optimizer])
    masks = masks_of(checkpoint)
    assert masks
    averages = checkpoint["extra_state"].get("ema")
    assert (averages is not None) == (optimizer == "ema")
    for name, keep in masks.items():
        assert not checkpoint["model"][name][~keep].any()
        if averages is not None:
            assert not averages[name][~keep].any()


@pytest.mark.parametrize("method", PRUNING)
def test_interrupted_equals_uninterrupted(new_run, method):
    """Stopped anywhere in the schedule and resumed: weights, masks, position and moments agree."""
    run = new_run("whole")
    whole = run.train(*options_of(method), "--save-interval-updates", "1", "--disable-validation")
    for stop in (1, 3, 4, 7):
        resumed = new_run(f"stopped-{stop}")
        resumed.folder.mkdir()
        shutil.copy(run.folder / f"checkpoint_1_{stop}.pt", resumed.folder / "checkpoint_last.pt")
        before = resumed.checkpoint()
        assert not same_tensors(whole["model"], before["model"])  # control: there was something left to do
        after = resumed.train(*options_of(method), "--disable-validation")
        assert same_tensors(whole["model"], after["model"])
        assert same_tensors(masks_of(whole), masks_of(after))
        assert same_tensors(whole["last_optimizer_state"]["state"], after["last_optimizer_state"]["state"])
        assert state_of(whole) == state_of(after)


@pytest.mark.parametrize("method", [name for name in PRUNING if name != "random"])
def test_beats_random(new_run, method):
    """On a trained toy model, with the same finetuning, over three seeds."""
    new_run("dense").train("--max-update", "60", "--disable-validation")
    losses = {method: [], "random": []}
    for name in losses:
        for seed in (1, 2, 3):
            run = new_run(f"{name}-{seed}")
            run.train(
                "--finetune-from-model", new_run("dense").folder / "checkpoint_last.pt", "--seed", seed,
                "--prune-method", name, "--prune-target", "0.5", "--max-update", "10",
            )  # fmt: skip
            losses[name].append(run.checkpoint()["extra_state"]["val_loss"])
    assert max(losses[method]) < min(losses["random"])


def state_of(checkpoint):
    return checkpoint["extra_state"]["PruneTranslationTask"]
