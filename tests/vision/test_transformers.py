"""Layer norms and attention: the residual width of ViT and ConvNeXt, heads, neurons, in runs of a few updates."""

import copy

import pytest
import torch
from commands import reported
from conftest import masks_of, same_tensors, train_images, words_of
from torch import nn
from torch.nn import functional as F

from fairseq_prune.compat import load_checkpoint
from fairseq_prune.modules.partial_norm import PartialLayerNorm
from vision_bridge.compact import compact
from vision_bridge.models.divisible import SelfAttention, follow_shapes, make_divisible
from vision_bridge.models.transformers import patch_size
from vision_bridge.rebuild import rebuild

RUN = """--image-size 8 --max-train-images 64 --batch-size 16 --lr 0.01 --lr-scheduler fixed
    --disable-validation"""
HALF = "--prune-method l1 --prune-target 0.5 --prune-start 2up --prune-units"
SHAPES = {  # of vit_mini: 64 channels, 4 layers of 4 heads and 256 neurons
    "channel": ((192, 32), (32, 64), (256, 32), (1, 65, 32)),
    "head": ((96, 64), (64, 32), (256, 64), (1, 65, 64)),
    "neuron": ((192, 64), (64, 64), (128, 64), (1, 65, 64)),
}


def train(folder, arch, updates, *words):
    options = [*words_of(RUN), "--arch", arch, "--max-update", str(updates)]
    return train_images(folder, "synthetic", *options, *words)


def shapes(state):
    layer = "net.encoder.layers.encoder_layer_3."
    parts = ("self_attention.in_proj_weight", "self_attention.out_proj.weight", "mlp.0.weight")
    names = [*(layer + part for part in parts), "net.encoder.pos_embedding"]
    return tuple(tuple(state["model"][name].shape) for name in names)


@pytest.mark.parametrize("units", SHAPES)
def test_a_run_cuts_what_another_one_masks(units, tmp_path):
    """Cut in the run, resumed on the way and finetuned; the masked run's checkpoint, compacted, is as wide."""
    words = (*words_of(HALF), units)
    train(tmp_path / "cut", "vit_mini", 3, *words)
    state = train(tmp_path / "cut", "vit_mini", 4, *words)
    assert shapes(state) == SHAPES[units]
    assert same_tensors(state["model"], train(tmp_path / "whole", "vit_mini", 4, *words)["model"])
    tuned = train(tmp_path / "on", "vit_mini", 1, "--finetune-from-model", tmp_path / "cut" / "checkpoint_last.pt")
    assert shapes(tuned) == SHAPES[units]
    masked = train(tmp_path / "masked", "vit_mini", 4, *words, "--store-ema", "--ema-decay", "0.9")
    assert shapes(masked)[3] == (1, 65, 64) and masks_of(masked)
    small, removed = compact(masked)
    assert shapes(small) == SHAPES[units]
    assert removed[units] == {"channel": 32, "head": 4 * 2, "neuron": 4 * 128}[units]
    image = torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    with torch.no_grad():
        one, other = (rebuild(state).double()(image) for state in (masked, small))
    assert (one - other).abs().max() <= 1e-10 * one.abs().max()


def test_convnext_masked_is_compacted(tmp_path, capsys):
    """As the command verifies it, in float64, on validation images."""
    words = (*words_of(HALF), "filter", "--store-ema", "--ema-decay", "0.9")
    masked = train(tmp_path, "convnext_mini", 3, *words)
    assert masks_of(masked)["net.features.0.1.weight"].sum() == 16  # of the first layer norm
    report = reported(capsys, "compact", tmp_path / "checkpoint_last.pt", tmp_path / "small.pt")
    assert report["difference"] < 1e-12 and report["removed"]["channel"] == (32 + 64 + 128 + 128 + 256 + 512 * 2) // 2
    assert 0.25 < report["after"]["params"] / report["before"]["params"] < 0.27
    small = load_checkpoint(tmp_path / "small.pt")
    assert small["model"]["net.features.1.0.layer_scale"].shape == (16, 1, 1)


def test_a_norm_goes_by_the_channels_that_are_there():
    torch.manual_seed(1)
    norm, x = PartialLayerNorm(6).double(), torch.randn(5, 6).double()
    assert torch.equal(norm(x), F.layer_norm(x, (6,), norm.weight, norm.bias))
    gone = torch.tensor([True, False, False, True, False, False])
    norm.weight.data[gone] = norm.bias.data[gone] = 0
    assert not torch.allclose(norm(x)[:, ~gone], F.layer_norm(x[:, ~gone], (4,)))  # control: nobody told it
    again = PartialLayerNorm(6).double()
    again.load_state_dict(norm.state_dict())
    found = again(x)
    assert torch.allclose(found[:, ~gone], F.layer_norm(x[:, ~gone], (4,)), rtol=1e-12) and not found[:, gone].any()
    again.load_state_dict(PartialLayerNorm(6).state_dict())
    assert not again.partial


def test_a_scale_that_begins_at_zero_is_no_removal():
    norm = PartialLayerNorm(4)
    nn.init.zeros_(norm.weight)
    again = PartialLayerNorm(4)
    again.load_state_dict(norm.state_dict())
    again(torch.randn(2, 4)).sum().backward()
    assert not again.partial and again.weight.grad.any()


def test_cut_attention_is_attention():
    """With the shapes of the whole it is torch's; without some heads that of the others."""
    net = nn.Sequential(nn.MultiheadAttention(8, 4, batch_first=True)).double().eval()
    whole, x = copy.deepcopy(net)[0], torch.randn(2, 5, 8).double()
    make_divisible(net)
    ours = net[0]
    assert type(ours) is SelfAttention and torch.equal(ours(x, x, x)[0], whole(x, x, x)[0])
    for rows in (slice(0, 2), slice(8, 10), slice(16, 18)):
        whole.in_proj_weight.data[rows] = whole.in_proj_bias.data[rows] = 0
    kept = torch.arange(24).view(3, 8)[:, 2:].flatten()
    ours.in_proj_weight.data, ours.in_proj_bias.data = ours.in_proj_weight[kept], ours.in_proj_bias[kept]
    ours.out_proj.weight.data = ours.out_proj.weight[:, 2:]
    follow_shapes(ours)
    assert ours.num_heads == 3 and torch.allclose(ours(x, x, x)[0], whole(x, x, x)[0], rtol=1e-12)


@pytest.mark.parametrize("size, patch", [(224, 16), (32, 4), (28, 2), (8, 1), (33, 3), (64, 8)])
def test_patches(size, patch):
    assert patch_size(size) == patch
