"""Channels are cut out at every event of a run, not only at its last: SNAP-it during training, and others."""

from shutil import copy

import pytest
from conftest import masks_of, same_tensors, train_images, words_of

from fairseq_prune.compat import load_checkpoint
from fairseq_prune.pruning.masks import unpack_mask

RUN = """--arch resnet8 --image-size 8 --max-train-images 64 --batch-size 16 --lr 0.01 --lr-scheduler fixed
    --disable-validation"""
EVENTS = "--prune-start 2up --prune-every 2up --prune-end 6up --prune-target 0.8"
NODES = 16 + 32 + 64


def train(folder, updates, *words):
    return train_images(folder, "synthetic", *words_of(RUN), "--max-update", str(updates), *words)


def left(state):
    return sum(len(state["model"][f"net.layer{i}.0.conv1.weight"]) for i in (1, 2, 3))


def task_state(state):
    return state["extra_state"]["PruneImageClassificationTask"]


def test_snap_it_during_training(tmp_path):
    words = [*words_of(EVENTS), "--prune-method", "snap_it"]
    events = [NODES - round(fraction * NODES) for fraction in (0.4, 0.6, 0.8)]
    whole = train(tmp_path / "whole", 8, *words, "--save-interval-updates", "1")
    files = {n: tmp_path / "whole" / f"checkpoint_{1 + (n - 1) // 4}_{n}.pt" for n in (1, 2, 3, 5, 6, 7)}
    states = {updates: load_checkpoint(file) for updates, file in files.items()}
    assert [left(states[updates]) for updates in (2, 3, 5, 7)] == [NODES, *events] and left(whole) == events[-1]
    spent = {updates: task_state(state)["account"]["spent"]["macs"] for updates, state in states.items()}
    spent[8] = task_state(whole)["account"]["spent"]["macs"]
    assert spent[8] - spent[7] < 0.5 * (spent[2] - spent[1])  # of an update after all events, and of one before
    for updates in (3, 5, 6):
        (tmp_path / f"{updates}").mkdir()
        copy(files[updates], tmp_path / f"{updates}" / "checkpoint_last.pt")
        state = train(tmp_path / f"{updates}", 8, *words)  # goes on from there to the same bits
        assert same_tensors(state["model"], whole["model"])
        assert task_state(state)["account"] == task_state(whole)["account"]
    masked = train(tmp_path / "masked", 8, *words, "--store-ema", "--ema-decay", "0.9")
    assert left(masked) == NODES and task_state(masked)["account"]["spent"]["macs"] > 1.3 * spent[8]


@pytest.mark.parametrize("scope", ["global", "layer"])
def test_the_same_channels_are_removed_as_beside_masks(scope, tmp_path):
    """Weights that do not move: what is kept after three cuts is what three masks keep."""
    words = [*words_of(EVENTS), *words_of("--prune-method magnitude --prune-schedule linear --prune-units filter")]
    words += ["--lr", "1e-12", "--weight-decay", "0", "--prune-scope", scope]
    cut, masked = train(tmp_path / "cut", 7, *words), train(tmp_path / "masked", 7, *words, "--store-ema")
    kept = {vector: unpack_mask(units) for vector, units in task_state(cut)["kept"].items()}
    masks = {name: masks_of(masked)[f"{name}.weight"].flatten(1).any(1) for name in kept}
    assert len(kept) == 3 and all(kept[name].equal(units) for name, units in masks.items())
    assert sum(int(units.sum()) for units in kept.values()) == left(cut)


def test_nodes_and_weights(tmp_path):
    """CNIP-it: exactly so many weights are gone, with and without their nodes, whether these were cut out or not."""
    words = [*words_of(EVENTS), "--prune-method", "cnip_it"]
    state = train(tmp_path, 7, *words)
    weights = [name for name, value in state["model"].items() if value.dim() > 1]
    alive = sum(int((state["model"][name] != 0).sum()) for name in weights)
    dense = train(tmp_path / "dense", 1)
    total = sum(dense["model"][name].numel() for name in weights)
    assert left(state) < NODES and alive == total - round(0.8 * total)
