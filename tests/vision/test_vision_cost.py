"""MACs and parameters of cut nets, against the published numbers of GReg, layer by layer to the unit."""

import copy
from functools import cache

import pytest
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from vision_nets import build, select
from vision_nets import cut as cut_net

from fairseq_prune.pruning.budget.counting import ROUNDINGS
from fairseq_prune.pruning.surgery.cut import cut_state, entries, replace_values
from vision_bridge.cost import count_parameters, count_without_norms, layer_costs
from vision_bridge.models.nets import NETS, NetSpec
from vision_bridge.models.torchvision_nets import build_torchvision
from vision_bridge.ratios.layers import find_layers
from vision_bridge.ratios.stage_pr import layer_ratios
from vision_bridge.ratios.targets import targets_of_vectors, targets_of_weights
from vision_bridge.surgery.trace import trace

SKIPS = "[1.0,2.0,2.3,3.0,3.5]"
DENSE = {  # net: MACs, parameters without norms, with them
    "resnet56": (125_485_696, 848_954, 853_018),
    "vgg19": (398_182_400, 20_070_180, 20_081_188),
    "resnet34": (3_663_761_408, 21_780_648, 21_797_672),
    "resnet50": (4_089_184_256, 25_503_912, 25_557_032),
}
GOLDEN = [  # net, --stage-pr, --skip-layers: MACs left, speedup, parameters left without norms, % removed with them
    ("resnet56", "[0,0.75,0.75,0.32,0]", None, 49_121_920, 2.5546, 485_210, 42.76),
    ("resnet56", "[0,0.5,0.5,0.5,0]", None, 62_964_352, 1.9930, 425_018, 49.82),
    ("resnet56", "[0,0.7,0.7,0.7,0]", None, 34_929_280, 3.5926, 248_330, 70.58),
    ("resnet56", "[0,0.9,0.9,0.9,0]", None, 10_838_656, 11.5776, 79_274, 90.45),
    ("resnet56", "[0,0.925,0.925,0.925,0]", None, 8_258_176, 15.1953, 54_074, 93.41),
    ("resnet56", "[0,0.95,0.95,0.95,0]", None, 6_322_816, 19.8465, 38_954, 95.18),
    ("vgg19", "[1-15:0.5]", None, 110_322_688, 3.6093, 5_040_932, 74.87),
    ("vgg19", "[1-15:0.6]", None, 73_407_408, 5.4243, 3_208_318, 84.00),
    ("vgg19", "[1-15:0.7]", None, 44_784_324, 8.8911, 1_808_929, 90.98),
    ("vgg19", "[1-15:0.8]", None, 22_959_480, 17.3428, 811_237, 95.95),
    ("vgg19", "[1-15:0.9]", None, 8_745_756, 45.5286, 207_241, 98.96),
    ("resnet34", "[0,0.5,0.6,0.4,0,0]", SKIPS, 2_782_269_440, 1.3168, 19_453_608, 10.68),
    ("resnet34", "[0,0.5,0.6,0.4,0,0]", None, 2_260_464_128, 1.6208, 18_275_688, 16.09),
    ("resnet50", "[0,0.3,0.3,0.3,0.14,0]", None, 2_745_566_232, 1.4894, 19_587_106, 23.17),
    ("resnet50", "[0,0.6,0.6,0.6,0.21,0]", None, 1_771_649_680, 2.3081, 15_887_711, 37.65),
    ("resnet50", "[0,0.74,0.74,0.6,0.21,0]", None, 1_594_769_872, 2.5641, 15_742_100, 38.22),
    ("resnet50", "[0,0.68,0.68,0.68,0.5,0]", None, 1_334_871_128, 3.0634, 11_037_390, 56.64),
]


@cache
def built(name):
    """The net and an image that it takes."""
    classes, size = {"resnet56": (10, 32), "vgg19": (100, 32)}.get(name, (1000, 224))
    spec = NetSpec(classes, 3, size)
    net = NETS[name](spec) if size == 32 else build_torchvision(name, None, spec)
    return net, torch.zeros(1, 3, size, size)


@cache
def traced(name):
    """Its channels, which do not depend on the size of the image."""
    return trace(built(name)[0], torch.zeros(2, 3, 32, 32))


def cut(name, stage_pr, skip, rounding="up"):
    """A copy of the net without as many filters as the fractions say, anywhere in each layer."""
    net, structure = copy.deepcopy(built(name)[0]), traced(name)
    ratios = layer_ratios(find_layers(net), stage_pr, skip, "filter")
    targets = targets_of_vectors(structure, structure.vectors, ratios, "writers")
    generator, keep = torch.Generator().manual_seed(1), {}
    for vector, fraction in targets.items():
        length = structure.vectors[vector].length
        keep[vector] = torch.randperm(length, generator=generator) >= ROUNDINGS[rounding](fraction, length)
    replace_values(net, cut_state(entries(net), structure.table, keep))
    return net


def macs(net, example):
    return sum(cost.macs for cost in layer_costs(net, example))


@pytest.mark.parametrize("name", DENSE)
def test_dense_nets(name):
    net, example = built(name)
    assert (macs(net, example), count_without_norms(net), count_parameters(net)) == DENSE[name]


@pytest.mark.parametrize("name, stage_pr, skip, left, speedup, without_norms, removed", GOLDEN)
def test_published_speedups(name, stage_pr, skip, left, speedup, without_norms, removed):
    net, example = cut(name, stage_pr, skip), built(name)[1]
    found = macs(net, example)
    assert found == left and count_without_norms(net) == without_norms
    assert DENSE[name][0] / found == pytest.approx(speedup, abs=5e-5)
    assert 100 * (1 - count_parameters(net) / DENSE[name][2]) == pytest.approx(removed, abs=5e-3)


def test_control_other_counts_are_other_speedups():
    """Rounding to the nearest count, and filters of the wrong layers, show in the MACs."""
    assert macs(cut("vgg19", "[1-15:0.7]", None, "nearest"), built("vgg19")[1]) != 44_784_324
    assert macs(cut("vgg19", "[0-14:0.7]", None), built("vgg19")[1]) != 44_784_324


def test_kept_widths():
    """GReg's table of what stays of 16, 32 and 64 (or 64 to 512) filters."""
    widths = {
        ("resnet56", "[0,0.75,0.75,0.32,0]"): [4, 8, 43],
        ("resnet56", "[0,0.5,0.5,0.5,0]"): [8, 16, 32],
        ("resnet56", "[0,0.7,0.7,0.7,0]"): [4, 9, 19],
        ("resnet56", "[0,0.9,0.9,0.9,0]"): [1, 3, 6],
        ("resnet56", "[0,0.925,0.925,0.925,0]"): [1, 2, 4],
        ("resnet56", "[0,0.95,0.95,0.95,0]"): [1, 1, 3],
        ("vgg19", "[1-15:0.5]"): [32, 64, 128, 256],
        ("vgg19", "[1-15:0.6]"): [25, 51, 102, 204],
        ("vgg19", "[1-15:0.7]"): [19, 38, 76, 153],
        ("vgg19", "[1-15:0.8]"): [12, 25, 51, 102],
        ("vgg19", "[1-15:0.9]"): [6, 12, 25, 51],
    }
    for (name, stage_pr), expected in widths.items():
        convs = [m.out_channels for m in cut(name, stage_pr, None).modules() if isinstance(m, nn.Conv2d)]
        assert sorted(set(convs) - {16, 32, 64}) == sorted(set(expected) - {16, 32, 64})


def test_single_weights():
    """82.7 % of ResNet-50's weights, the stem's excepted: zeros, MACs with what is left, and the claim of 82.7 %."""
    net, example = copy.deepcopy(built("resnet50")[0]), built("resnet50")[1]
    ratios = layer_ratios(find_layers(net), "[0,0.827,0.827,0.827,0.827,0.827]", None, "weight")
    names = [name for name, parameter in net.named_parameters() if parameter.dim() > 1]
    targets = targets_of_weights([f"net.{name}" for name in names], ratios)
    zeros, weights = 0, dict(net.named_parameters())
    for name in names:
        count = ROUNDINGS["up"](targets[f"net.{name}"], weights[name].numel())
        weights[name].data.fill_(1.0).view(-1)[:count] = 0
        zeros += count
    costs = layer_costs(net, example)
    assert zeros == 21_083_162 == sum(cost.weights - cost.nonzero for cost in costs)
    assert sum(cost.weights for cost in costs) == 25_502_912
    assert sum(cost.nonzero_macs for cost in costs) == 804_998_592
    assert sum(cost.macs for cost in costs) == DENSE["resnet50"][0]
    assert [cost.nonzero for cost in costs if cost.name == "conv1"] == [64 * 3 * 49]


def test_layers_that_are_easily_miscounted():
    """Convolutions in groups, linear layers over several positions, a layer used twice, attention."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.grouped = nn.Conv2d(4, 6, 3, padding=1, groups=2)
            self.up = nn.ConvTranspose2d(6, 5, 2, stride=2, bias=False)
            self.mix = nn.Linear(5, 5)
            self.attend = nn.MultiheadAttention(5, 1, batch_first=True)
            self.aside = nn.Linear(7, 7)

        def forward(self, x):
            x = self.up(self.grouped(x)).flatten(2).transpose(1, 2)
            x = self.mix(self.mix(x))
            return self.attend(x, x, x)[0]

    net = Net().train()
    net.mix.eval()
    costs = layer_costs(net, torch.zeros(2, 4, 3, 3))
    assert net.training and net.aside.training and not net.mix.training
    assert [(cost.name, cost.kind) for cost in costs] == [
        ("grouped", "conv"), ("up", "conv"), ("mix", "linear"), ("mix", "linear"), ("attend", "attention")
    ]  # fmt: skip
    attention = 4 * 25 * 36 + 2 * 36 * 36 * 5
    assert [cost.macs for cost in costs] == [6 * 2 * 9 * 9, 6 * 5 * 4 * 9, 25 * 36, 25 * 36, attention]
    assert count_without_norms(net) == count_parameters(net)


@pytest.mark.parametrize("name", ["resnext", "regnet", "convnext", "vit", "densenet"])
@pytest.mark.parametrize("half", [False, True], ids=["whole", "cut"])
def test_as_torch_counts(name, half):
    """Convolutions in groups, layers of tokens, products of attention: half of torch's floating-point operations."""
    size = 32 if name == "densenet" else 16
    net = build(name, size).float().eval()
    if half:
        structure = trace(net, torch.zeros(2, 3, size, size))
        net = cut_net(net, structure, select(structure))
    image = torch.zeros(1, 3, size, size)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:  # it passes fused kernels over
        net(image)
    assert 2 * sum(cost.macs for cost in layer_costs(net, image)) == counter.get_total_flops() > 0
