"""GReg's grammar of layer ratios, and what may lose units."""

import pytest
import torch

from vision_bridge.models.nets import NETS, NetSpec
from vision_bridge.ratios.layers import find_layers
from vision_bridge.ratios.stage_pr import layer_ratios, parse_stage_pr
from vision_bridge.ratios.targets import targets_of_vectors
from vision_bridge.surgery.trace import trace


@pytest.fixture(scope="module")
def layers():
    with torch.device("meta"):
        return {
            name: find_layers(NETS[name](NetSpec(10, 3, 32)))
            for name in ("resnet8", "resnet56", "resnet110", "resnet8b", "resnet50", "vgg19")
        }


def lossy(ratios):
    return {name: ratio for name, ratio in ratios.items() if ratio}


def test_layers_are_numbered_as_the_original_does(layers):
    by_name = {layer.name: layer for layer in layers["resnet56"]}
    found = by_name["layer3.4.conv2"]
    assert (found.stage, found.block, found.place, found.last, found.id) == (3, 4, 1, True, ("3", "4", "1"))
    assert by_name["conv1"].stage == 0 and by_name["fc"].stage == 4 and by_name["fc"].linear
    assert [layer.index for layer in layers["vgg19"]] == list(range(17))
    shortcut = next(layer for layer in layers["resnet8b"] if layer.place == -1)
    before = layers["resnet8b"][layers["resnet8b"].index(shortcut) - 1]
    assert shortcut.index == before.index  # a shortcut does not count


def test_filters_are_removed_only_inside_of_blocks(layers):
    found = lossy(layer_ratios(layers["resnet8"], "[0,0.75,0.75,0.32,0]", None, "filter"))
    assert found == {"layer1.0.conv1": 0.75, "layer2.0.conv1": 0.75, "layer3.0.conv1": 0.32}
    found = lossy(layer_ratios(layers["resnet8"], "0, 0.5, 0, 0, 0", None, "channel"))
    assert found == {"layer1.0.conv2": 0.5}
    bottleneck = lossy(layer_ratios(layers["resnet50"], "[0,0.3,0,0,0,0]", None, "filter"))
    assert set(bottleneck) == {f"layer1.{block}.conv{place}" for block in range(3) for place in (1, 2)}
    weights = lossy(layer_ratios(layers["resnet8"], "[0,0.5,0.5,0.5,0.9]", "[1.0]", "weight"))
    assert weights["layer1.0.conv2"] == 0.5 and weights["fc"] == 0.9 and "conv1" not in weights


def test_ids_are_compared_part_by_part(layers):
    found = lossy(layer_ratios(layers["resnet110"], "[0,0,0,0.5,0]", "[3.1]", "filter"))
    assert "layer3.1.conv1" not in found and "layer3.10.conv1" in found


def test_ranges(layers):
    found = lossy(layer_ratios(layers["vgg19"], "[1-15:0.7, 3:0.2]", "[2]", "filter"))
    indices = {layer.name: layer.index for layer in layers["vgg19"]}
    expected = {name: 0.2 if i == 3 else 0.7 for name, i in indices.items() if 1 <= i <= 15 and i != 2}
    assert found == expected
    assert not lossy(layer_ratios(layers["vgg19"], "[0-18:0]", None, "filter"))
    assert parse_stage_pr("{1-2: 0.5}") == [(1, 2, 0.5, True)]


BAD = {
    "length": ("resnet8", "[0,0.5,0.5]", None, "takes 5"),
    "one": ("resnet8", "[0,1,0,0,0]", None, "not a fraction"),
    "word": ("resnet8", "[0,x,0,0,0]", None, "not a fraction"),
    "empty": ("resnet8", "[]", None, "is empty"),
    "skip": ("resnet8", "[0,0.5,0.5,0.5,0]", "[1.7]", "no layer '1.7'"),
    "stages": ("vgg19", "[0,0.5]", None, "has no stages"),
    "index": ("vgg19", "[40:0.5]", None, "there is no layer 40"),
    "range": ("vgg19", "[5-3:0.5]", None, "cannot read"),
}


@pytest.mark.parametrize("case", BAD)
def test_errors(layers, case):
    net, stage_pr, skip, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        layer_ratios(layers[net], stage_pr, skip, "filter")


@pytest.fixture(scope="module")
def traced():
    net = NETS["resnet8"](NetSpec(10, 3, 16))
    return net, trace(net, torch.zeros(2, 3, 16, 16), "net.")


@pytest.mark.parametrize(
    "stage_pr, message",
    [("[0.5,0,0,0,0]", "conv1"), ("[0,0,0,0,0.5]", "fc cannot lose filters")],
    ids=["stem", "classifier"],
)
def test_what_cannot_be_cut_is_refused(traced, stage_pr, message):
    net, structure = traced
    ratios = layer_ratios(find_layers(net), stage_pr, None, "filter")
    with pytest.raises(ValueError, match=message):
        targets_of_vectors(structure, structure.vectors, ratios, "writers")


def test_sides(traced):
    """A channel goes by the layer that writes it, or by the one that reads it."""
    net, structure = traced
    for units, side in (("filter", "writers"), ("channel", "readers")):
        ratios = layer_ratios(find_layers(net), "[0,0.5,0,0,0]", None, units)
        targets = targets_of_vectors(structure, structure.vectors, ratios, side)
        assert lossy(targets) == {"net.layer1.0.conv1": 0.5}
