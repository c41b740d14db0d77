"""What can be cut from an image classifier: channels without input or reader, made by hand."""

import copy
from collections import OrderedDict

import pytest
import torch
from conftest import masks_of
from digits import new_checkpoint, widths

from fairseq_prune.pruning.masks import store_masks
from vision_bridge.compact import compact as cut_checkpoint
from vision_bridge.rebuild import rebuild


def edited(checkpoint, edit):
    state = OrderedDict((name, value.clone()) for name, value in checkpoint["model"].items())
    state._metadata = copy.deepcopy(checkpoint["model"]._metadata)
    edit(state)
    return {**checkpoint, "model": state}


def hidden(checkpoint):
    """Hidden units of a perceptron of four layers, by layer."""
    shapes = [value.shape for name, value in checkpoint["model"].items() if name.endswith("weight")]
    return [shape[0] for shape in shapes[:-1]]


def logits(checkpoint):
    image = torch.randn(8, 1, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    with torch.no_grad():
        return rebuild(checkpoint).double()(image)


def cut_widths(checkpoint):
    cut, removed = cut_checkpoint(checkpoint)
    assert torch.allclose(logits(cut), logits(checkpoint), rtol=1e-10)
    assert removed == {"channel": 400 - sum(hidden(cut))}
    return hidden(cut)


def test_units_without_input_or_reader(perceptron):
    checkpoint, (one, two, three) = perceptron

    def kill(state):
        state[f"{one}.weight"][:5] = 0  # of these the bias is left, but for two
        state[f"{one}.bias"][:2] = 0
        state[f"{one}.bias"][2:5] = 0.5
        state[f"{two}.weight"][:, 7:10] = 0  # nobody reads these
        state[f"{three}.weight"][:, 20] = 0

    assert cut_widths(edited(checkpoint, kill)) == [300 - 2 - 3, 99]


def test_units_that_only_removed_ones_know(perceptron):
    """Unit 8 is read by the unread unit 3 alone; unit 5 gets nothing but what the empty unit 0 had to say."""
    checkpoint, (one, two, three) = perceptron

    def kill(state):
        state[f"{three}.weight"][:, 3] = 0
        state[f"{two}.weight"][torch.arange(100) != 3, 8] = 0
        state[f"{one}.weight"][0] = state[f"{one}.bias"][0] = 0
        state[f"{two}.weight"][5, 1:] = state[f"{two}.bias"][5] = 0

    assert cut_widths(edited(checkpoint, kill)) == [298, 98]


def test_one_unit_stays(perceptron):
    checkpoint, (one, _, three) = perceptron

    def kill(state):
        state[f"{three}.weight"].zero_()
        state[f"{one}.weight"].zero_()
        state[f"{one}.bias"].zero_()

    assert cut_widths(edited(checkpoint, kill)) == [1, 1]


def test_masks_of_single_weights_are_cut_along(perceptron):
    checkpoint, (one, two, _) = perceptron
    mask = torch.rand(100, 300, generator=torch.Generator().manual_seed(1)) < 0.5

    def kill(state):
        state[f"{two}.weight"][~mask] = 0
        state[f"{one}.weight"][10:] = state[f"{one}.bias"][10:] = 0
        store_masks(state._metadata, {f"{two}.weight": mask})

    before = edited(checkpoint, kill)
    cut, _ = cut_checkpoint(before)
    assert torch.equal(masks_of(cut)[f"{two}.weight"], mask[:, :10])
    assert not cut["model"][f"{two}.weight"][~mask[:, :10]].any()
    assert masks_of(before)[f"{two}.weight"].shape == (100, 300)  # the given one is left as it is


def test_a_norm_that_shifts_keeps_its_channel():
    """Filters of zeros are constants after a norm with a shift; with the shift gone, too, they can be cut."""
    checkpoint = new_checkpoint("resnet8")

    def kill(state, norm=False):
        state["net.layer2.0.conv1.weight"][:9] = 0
        state["net.layer2.0.bn1.bias"][:9] = 0.1
        for part in ("weight", "bias") if norm else ():
            state[f"net.layer2.0.bn1.{part}"][:9] = 0

    with pytest.raises(ValueError, match="nothing to cut"):
        cut_checkpoint(edited(checkpoint, kill))
    silent = edited(checkpoint, lambda state: kill(state, norm=True))
    cut, removed = cut_checkpoint(silent)
    assert removed == {"channel": 9} and widths(cut["model"]) == {1: 16, 2: 23, 3: 64}
    assert torch.allclose(logits(cut), logits(silent), rtol=1e-10)
