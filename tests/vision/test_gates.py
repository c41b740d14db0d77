"""Regularisers and gates that decide themselves what is removed, in whole runs of fairseq-train."""

import pytest
import torch
from conftest import masks_of, same_tensors

NODES = {1: 16, 2: 32, 3: 64}  # inside the blocks of resnet8, by stage
TURNS = "--prune-every 1up --prune-ticks 2 --prune-tocks 1"
RUNS = {
    "group_hoyer_square": "--prune-lambda 30",
    "group_lasso": "--prune-lambda 0.15",
    "l0": "--prune-lambda 500 --prune-gate-lr 0.2",
    "gate_decorators": f"--prune-target 0.5 {TURNS}",
}


def nodes_left(checkpoint):
    return {stage: checkpoint["model"][f"net.layer{stage}.0.conv1.weight"].shape[0] for stage in NODES}


@pytest.mark.parametrize("method", RUNS)
def test_nodes_are_removed_in_the_end(new_image_run, method):
    """Cut out of a residual net; resumed in the middle, the same to the bit."""
    words = ["--prune-method", method, *RUNS[method].split(), "--prune-end", "6up", "--max-update", "9"]
    run = new_image_run("whole")
    whole = run.train(*words, "--save-interval-updates", "1")
    middle = run.checkpoint("checkpoint_2_5.pt")
    assert nodes_left(middle) == NODES and not masks_of(middle) and not masks_of(whole)
    left = sum(nodes_left(whole).values())
    assert 3 < left < 112 if method != "gate_decorators" else left == 56
    resumed = new_image_run("resumed")
    resumed.begin_at(run.folder / "checkpoint_2_5.pt")
    after = resumed.train(*words)
    assert same_tensors(whole["model"], after["model"])
    assert same_tensors(whole["last_optimizer_state"]["state"], after["last_optimizer_state"]["state"])


def test_nodes_and_weights_are_removed_together(new_image_run):
    """Before training, the exact number of weights: those of cut nodes and those masked."""
    checkpoint = new_image_run().train("--prune-method", "cnip_it", "--prune-target", "0.9", "--max-update", "2")
    whole = new_image_run("dense").train("--max-update", "1")["model"]
    total = sum(value.numel() for value in whole.values() if value.dim() > 1)
    present = sum(value.numel() for value in checkpoint["model"].values() if value.dim() > 1)
    masked = sum(int((~keep).sum()) for keep in masks_of(checkpoint).values())
    assert present < total and masked
    assert total - present + masked == round(0.9 * total)


@pytest.mark.parametrize("method, words", [
    ("l0", ["--prune-lambda", "300", "--prune-gate-lr", "1"]),
    ("gate_decorators", ["--prune-target", "0.5", *TURNS.split()]),
])  # fmt: skip
def test_on_a_transformer(new_run, method, words):
    """Neurons are cut, heads masked."""
    checkpoint = new_run().train("--prune-method", method, "--prune-end", "6up", *words)
    widths = [value.shape[0] for name, value in checkpoint["model"].items() if name.endswith("fc1.weight")]
    heads = sum(
        int((~keep.view(2, -1, *keep.shape[1:]).flatten(1).any(1)).sum())
        for name, keep in masks_of(checkpoint).items() if name.endswith("v_proj.weight")
    )  # fmt: skip
    left = sum(widths) + 6 - heads
    assert left == 35 if method == "gate_decorators" else 5 <= left < 70


@pytest.mark.parametrize("method, words", [
    ("l0", ["--prune-lambda", "100", "--prune-gate-lr", "1"]),
    ("gate_decorators", ["--prune-target", "0.5", *TURNS.split()]),
    ("group_hoyer_square", ["--prune-target", "0.5"]),
    ("group_lasso", ["--prune-target", "0.5"]),
    ("taylor", ["--prune-target", "0.5", "--prune-schedule", "linear"]),
    ("fisher", ["--prune-target", "0.5", "--prune-schedule", "linear"]),
])  # fmt: skip
def test_on_an_lstm(new_run, method, words):
    arch = """--arch lstm --encoder-embed-dim 8 --encoder-hidden-size 8 --decoder-embed-dim 8 --decoder-hidden-size 8
        --decoder-out-embed-dim 8 --encoder-layers 1 --decoder-layers 1"""
    model = new_run(arch=arch).train("--prune-method", method, "--prune-end", "6up", *words)["model"]
    rows, left = model["encoder.lstm.weight_hh_l0"].shape
    assert rows == 4 * left and 0 < left < 8


@pytest.mark.parametrize("words, message", [
    ("--prune-lambda -1", "--prune-lambda -1.0: must not be below 0, e.g. 10.0"),
    ("--store-ema", "--store-ema: averages miss the gates of --prune-method l0; leave it out"),
])  # fmt: skip
def test_refused_before_data_is_loaded(new_image_run, words, message):
    with pytest.raises(SystemExit, match=message):
        new_image_run().train("--prune-method", "l0", "--prune-end", "6up", *words.split(), "--image-size", "0")


def test_vgg(new_image_run):
    """A chain keeps one node of every layer, whatever the charge."""
    words = "--image-size 16 --prune-method l0 --prune-lambda 1e6 --prune-gate-lr 1 --prune-end 2up --max-update 3"
    checkpoint = new_image_run(arch="--arch vgg11").train(*words.split())
    shapes = [value.shape for value in checkpoint["model"].values() if value.dim() == 4]
    assert all(shape[0] == 1 for shape in shapes) and torch.Size((1, 1, 3, 3)) in shapes
