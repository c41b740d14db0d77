"""Pruning before and during training by derivatives of the loss, in whole runs of fairseq-train."""

import pytest
import torch
from conftest import masks_of, same_tensors

NODES = 16 + 32 + 64  # of resnet8 that can be removed: inside its blocks


def nodes_left(checkpoint):
    return sum(checkpoint["model"][f"net.layer{stage}.0.conv1.weight"].shape[0] for stage in (1, 2, 3))


@pytest.mark.parametrize("method", ["snap", "snap_it"])
def test_nodes_are_removed_before_training(new_image_run, method):
    """The exact number, from all layers together; the first step is already the small net's."""
    run = new_image_run()
    checkpoint = run.train("--prune-method", method, "--prune-target", "0.9", "--save-interval-updates", "1")
    first = run.checkpoint("checkpoint_1_1.pt")
    assert nodes_left(first) == nodes_left(checkpoint) == NODES - round(0.9 * NODES) and not masks_of(first)
    assert len({first["model"][f"net.layer{s}.0.conv1.weight"].shape[0] / 16 for s in (1, 2, 3)}) > 1
    resumed = new_image_run("resumed")
    resumed.begin_at(run.folder / "checkpoint_1_3.pt")
    assert same_tensors(resumed.train("--prune-method", method, "--prune-target", "0.9")["model"], checkpoint["model"])


def test_more_nodes_than_can_be_removed(new_image_run):
    """One of every layer stays: 109 of 112 can be removed. The fraction that the message names can be met."""
    message = r"--prune-target 0.99: at most (0.9732) of 'all' can be removed: one unit of every layer stays; .*0.9732"
    with pytest.raises(SystemExit, match=message):
        new_image_run().train("--prune-method", "snap_it", "--prune-target", "0.99")
    assert nodes_left(new_image_run("most").train("--prune-method", "snap_it", "--prune-target", "0.9732")) == 3


def test_nodes_are_removed_during_training(new_image_run):
    """Event by event, as the schedule says; resumed between two of them, the same to the bit."""
    words = "--prune-method snap_it --prune-target 0.8 --prune-end 6up --prune-every 2up".split()
    run = new_image_run()
    checkpoint = run.train(*words, "--save-interval-updates", "1")
    gone = []
    for update in (1, 3, 5, 7):
        number = -(-update // 4)
        found = run.checkpoint(f"checkpoint_{number}_{update}.pt")
        masks = masks_of(found)
        left = sum(int(masks[name].flatten(1).any(1).sum()) for name in masks if name.endswith("conv1.weight"))
        gone.append(NODES - (left if masks else nodes_left(found)))
    assert gone == [round(0.4 * NODES), round(0.6 * NODES), round(0.7 * NODES), round(0.8 * NODES)]
    resumed = new_image_run("resumed")
    resumed.begin_at(run.folder / "checkpoint_1_3.pt")
    assert same_tensors(resumed.train(*words)["model"], checkpoint["model"])


def test_seeds_draw_other_batches_and_other_events_too(new_image_run):
    words = "--prune-method snip --prune-target 0.9 --prune-batches 1 --max-update 1".split()
    one, same = (masks_of(new_image_run(name).train(*words)) for name in ("one", "same"))
    other = masks_of(new_image_run("other").train(*words, "--prune-start", "0up", "--seed", "2"))
    assert same_tensors(one, same) and not same_tensors(one, other)


@pytest.mark.parametrize("method", ["snap_it", "snip_it", "grasp"])
def test_on_a_transformer(new_run, method):
    checkpoint = new_run().train("--prune-method", method, "--prune-target", "0.5", "--prune-batches", "2")
    if method == "snap_it":
        widths = [value.shape[0] for name, value in checkpoint["model"].items() if name.endswith("fc1.weight")]
        heads = sum(
            int((~keep.view(2, -1, *keep.shape[1:]).flatten(1).any(1)).sum())
            for name, keep in masks_of(checkpoint).items() if name.endswith("v_proj.weight")
        )  # fmt: skip
        units = 2 * 32 + 3 * 2
        assert sum(32 - width for width in widths) + heads == units // 2 and max(widths) > min(widths)
    else:
        masks = masks_of(checkpoint)
        total = {t.data_ptr(): t.numel() for t in checkpoint["model"].values() if t.dim() >= 2}
        assert sum(int((~keep).sum()) for keep in masks.values()) == round(0.5 * sum(total.values()))
        assert all(torch.isfinite(value).all() for value in checkpoint["model"].values())


def test_on_an_lstm(new_run):
    arch = """--arch lstm --encoder-embed-dim 8 --encoder-hidden-size 8 --decoder-embed-dim 8 --decoder-hidden-size 8
        --decoder-out-embed-dim 8 --encoder-layers 1 --decoder-layers 1"""
    state = new_run(arch=arch).train("--prune-method", "snap_it", "--prune-target", "0.5")["model"]
    sizes = [state[name].shape for name in ("encoder.lstm.weight_hh_l0", "decoder.layers.0.weight_hh")]
    assert all(rows == 4 * columns for rows, columns in sizes)  # all gates of a unit
    assert 0 < min(columns for _, columns in sizes) < 8
