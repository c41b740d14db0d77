"""Our nets for images: sizes as published, shapes, options, and the fairseq model around them."""

from argparse import Namespace
from functools import cache
from types import SimpleNamespace

import pytest
import torch
from fairseq.models import ARCH_CONFIG_REGISTRY, ARCH_MODEL_REGISTRY
from torch import nn
from torch.nn import functional as F

from vision_bridge.models.classifier import ImageClassifier
from vision_bridge.models.nets import NETS, NetSpec, add_net
from vision_bridge.models.residual import ZeroPad
from vision_bridge.models.shufflenet import shuffle

PARAMETERS = {  # of nets for 10 classes and images of 3 x 32 x 32, batch norm included
    "resnet8b": 78_042, "resnet20b": 272_474, "resnet32b": 466_906, "resnet56b": 855_770, "resnet110b": 1_730_714,
    "resnet8x4": 1_210_410, "resnet32x4": 7_410_730, "resnet20": 269_722, "resnet56": 853_018,
    "resnet18": 11_173_962, "resnet34": 21_282_122, "resnet50": 23_520_842,
    "vgg8": 3_918_858, "vgg11_bias": 9_231_114, "vgg13_bias": 9_416_010, "vgg16_bias": 14_728_266,
    "wrn16_1": 175_066, "wrn16_2": 691_674, "wrn40_1": 563_930, "wrn40_2": 2_243_546,
    "shufflenetv2": 1_263_278, "mobilenetv2": 2_236_682,
}  # fmt: skip
PRUNABLE = {  # SNIP-it's: image, weights of convolutions and linear layers, units but the outputs
    "logistic": ((1, 28), 7_840, 0),
    "lenet300": ((1, 28), 266_200, 400),
    "mlp5": ((1, 28), 1_192_960, 2_048),
    "lenet5_snip": ((1, 28), 142_110, 226),
    "conv_only": ((3, 32), 173_568, 288),
    "conv6": ((3, 32), 1_802_432, 1_408),
    "alexnet_snip": ((3, 32), 28_246_720, 9_600),
    "vgg16_fc3": ((3, 32), 50_665_152, 12_928),
    "resnet18_snip": ((3, 32), 11_693_760, 5_056),
    "resnet34_snip": ((3, 32), 21_794_496, 8_768),
}
SMALLEST = {"lenet5": 32, "lenet5_mini": 32, "lenet5_snip": 28, "conv6": 4, "alexnet_snip": 7, "conv_only": 26} | {
    **dict.fromkeys(("vgg11", "vgg13", "vgg16", "vgg19", "vgg16_fc3"), 16),
    **dict.fromkeys(("vgg8", "vgg11_bias", "vgg13_bias", "vgg16_bias"), 8),
}
NO_NORM = {"conv_only", "conv6", "alexnet_snip", "vgg16_fc3", "lenet300", "mlp5", "lenet5_snip", "vgg8"} | {
    f"vgg{depth}{end}" for depth in (11, 13, 16) for end in ("", "_bias")
} | {"vgg19"}  # fmt: skip
DROPOUT = {"wrn16_1", "wrn16_2", "wrn40_1", "wrn40_2", "mobilenetv2"} | PRUNABLE.keys() - {"logistic", "conv_only"}


def new(name, classes=10, channels=3, size=32, **options):
    """A net of NETS on the device "meta": shapes without numbers."""
    with torch.device("meta"):
        return NETS[name](NetSpec(classes, channels, size, **options))


build = cache(new)


def layers(net, kinds=nn.Conv2d | nn.Linear):
    return [module for module in net.modules() if isinstance(module, kinds)]


def parameters(net):
    return sum(parameter.numel() for parameter in net.parameters())


def macs(net, channels=3, size=32):
    """Multiplications of convolutions and linear layers for one image."""
    counts = []
    for layer in layers(net):
        layer.register_forward_hook(lambda m, _, y: counts.append(m.weight.numel() * y[0].numel() // m.weight.shape[0]))
    net(torch.zeros(1, channels, size, size, device="meta"))
    return sum(counts)


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("batch, channels, size", [(2, 3, 32), (1, 1, 33)], ids=["train", "eval"])
def test_logits(name, batch, channels, size):
    net = new(name, 7, channels, size).to_empty(device="cpu").train(batch > 1)  # computes faster there than on "meta"
    with torch.no_grad():
        assert net(torch.zeros(batch, channels, size, size)).shape == (batch, 7)


@pytest.mark.parametrize("name, count", PARAMETERS.items(), ids=str)
def test_parameters_as_published(name, count):
    assert parameters(build(name)) == count


@pytest.mark.parametrize("name", PRUNABLE)
def test_prunable_weights_and_nodes_of_snipit(name):
    (channels, size), weights, nodes = PRUNABLE[name]
    found = layers(build(name, 10, channels, size))
    assert sum(layer.weight.numel() for layer in found) == weights
    assert sum(layer.weight.shape[0] for layer in found[:-1]) == nodes


@pytest.mark.parametrize(
    "name, options, parameter_count, mac_count",
    [
        ("resnet56", {}, 853_018, 125_485_696),
        ("vgg19", {"classes": 100}, 20_081_188, 398_182_400),
        ("lenet5", {"channels": 1}, 61_706, None),
        (
            "mlp7_linear",
            {"channels": 1},
            1024 * 100 + 5 * 100 * 100 + 100 * 10 + 610,
            1024 * 100 + 5 * 100 * 100 + 1000,
        ),
    ],
    ids=["resnet56", "vgg19", "lenet5", "mlp7_linear"],
)
def test_sizes_of_greg(name, options, parameter_count, mac_count):
    assert parameters(build(name, **options)) == parameter_count
    assert mac_count is None or macs(build(name, **options), options.get("channels", 3)) == mac_count


@pytest.mark.parametrize("name", ["resnet8", "resnet8b", "resnet18", "resnet50", "resnet18_snip"])
def test_residual_nets_have_the_names_of_torchvision(name):
    entries = {entry.partition(".")[0] for entry in build(name).state_dict()}
    assert {"conv1", "bn1", "layer1", "layer2", "layer3", "fc"} <= entries
    blocks = set(build(name).layer2[0].state_dict())
    convs = 3 if name == "resnet50" else 2
    assert {f"conv{i}.weight" for i in range(1, convs + 1)} | {f"bn{i}.weight" for i in range(1, convs + 1)} <= blocks
    assert ("downsample.0.weight" in blocks and "downsample.1.weight" in blocks) == (name != "resnet8")


@pytest.mark.parametrize("name", SMALLEST)
def test_smallest_images(name):
    size = SMALLEST[name]
    assert build(name, size=size)(torch.zeros(2, 3, size, size, device="meta")).shape == (2, 10)
    with pytest.raises(ValueError, match=rf"--arch {name}: images of {size - 1} x .*--image-size {size}"):
        build(name, size=size - 1)


@pytest.mark.parametrize("name", NETS)
def test_no_batch_norm(name):
    if name not in NO_NORM:
        with pytest.raises(ValueError, match=f"--no-batch-norm: --arch {name}.*vgg16_fc3"):
            build(name, batch_norm=False)
        return
    with_norm, without = build(name), build(name, batch_norm=False)
    norms = nn.BatchNorm1d | nn.BatchNorm2d
    assert layers(with_norm, norms) and not layers(without, norms)
    assert all(layer.bias is not None for layer in layers(without))
    assert [layer.weight.shape for layer in layers(without)] == [layer.weight.shape for layer in layers(with_norm)]


@pytest.mark.parametrize("name", NETS)
def test_dropout(name):
    if name not in DROPOUT:
        with pytest.raises(ValueError, match=f"--net-dropout: --arch {name}"):
            build(name, dropout=0.5)
        return
    own = {module.p for module in layers(build(name), nn.Dropout)}
    assert own == {0.2 if name == "mobilenetv2" else 0 if name.startswith("wrn") or name == "lenet300" else 0.3}
    assert {module.p for module in layers(build(name, dropout=0.55), nn.Dropout)} == {0.55}


@pytest.mark.parametrize("value", [-0.1, 1, 2.5])
def test_impossible_dropout(value):
    with pytest.raises(ValueError, match=f"--net-dropout {value}: .*e.g. --net-dropout 0.3"):
        build("mlp5", dropout=value)


def test_option_a_takes_every_second_pixel_between_zeros():
    x = torch.randn(2, 16, 7, 7)
    padded = ZeroPad(2)(x, branch=torch.zeros(2, 32, 4, 4))
    assert padded.shape == (2, 32, 4, 4)
    assert torch.equal(padded[:, 8:24], x[:, :, ::2, ::2])
    assert not padded[:, :8].any() and not padded[:, 24:].any()


def test_option_a_follows_widths_that_were_cut():
    x = torch.randn(1, 3, 4, 4)
    padded = ZeroPad(2)(x, branch=torch.zeros(1, 8, 2, 2))
    assert torch.equal(padded, F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 2, 3)))


def test_a_block_adds_its_shortcut():
    block = NETS["resnet8"](NetSpec(10, 3, 8)).layer2[0].eval()
    nn.init.zeros_(block.bn2.weight)
    x = torch.rand(1, 16, 8, 8)
    assert torch.equal(block(x), ZeroPad(2)(x, torch.zeros(1, 32, 4, 4)))


def test_shuffle_interleaves_the_halves():
    assert shuffle(torch.arange(6.0).view(1, 6, 1, 1)).flatten().tolist() == [0, 3, 1, 4, 2, 5]


def test_a_wide_resnet_has_the_identity_where_shapes_agree():
    net = build("wrn16_1")
    assert [stage[0].downsample is None for stage in (net.layer1, net.layer2, net.layer3)] == [True, False, False]


def test_snipit_draws_orthogonal_weights():
    net = NETS["lenet300"](NetSpec(10, 1, 28))
    *hidden, last = (layer.weight.detach() for layer in layers(net))
    gain = 2 / (1 + 0.05**2)
    for weight in hidden:
        assert torch.allclose(weight @ weight.T, gain * torch.eye(len(weight)), atol=1e-4)
    assert torch.allclose(last @ last.T, torch.eye(10), atol=1e-4)


def test_the_linear_net_is_linear():
    net = NETS["mlp7_linear"](NetSpec(10, 1, 8)).double()
    a, b, zero = torch.randn(1, 1, 8, 8).double(), torch.randn(1, 1, 8, 8).double(), torch.zeros(1, 1, 8, 8).double()
    assert torch.allclose(net(a) + net(b) - net(zero), net(a + b))


def test_a_taken_name():
    with pytest.raises(ValueError, match="net 'resnet20' is already registered"):
        add_net("resnet20", lambda spec: None)
    with pytest.raises(ValueError, match="unknown net 'wrn16_3'; did you mean 'wrn16_"):
        NETS["wrn16_3"]


def classifier(arch="lenet300", shape=(1, 8, 8), classes=5, only_evaluates=False, **options):
    """Build as fairseq does, from what the command line gave."""
    args = Namespace(**options)
    ARCH_CONFIG_REGISTRY[arch](args)
    task = SimpleNamespace(image_shape=shape, classes=classes, only_evaluates=only_evaluates)
    return ARCH_MODEL_REGISTRY[arch].build_model(args, task)


def test_every_net_is_an_architecture():
    assert {name for name in (*NETS, "torchvision") if ARCH_MODEL_REGISTRY[name] is not ImageClassifier} == set()


def test_the_classifier():
    model = classifier().double()
    assert (model.image_shape, model.classes) == ((1, 8, 8), 5)
    assert {name.partition(".")[0] for name, _ in model.named_parameters()} == {"net"}
    example = model.example()
    assert example.shape == (2, 1, 8, 8) and example.dtype == torch.double and not example.any()
    assert model(example).shape == (2, 5) and model.max_positions() is None
    target = torch.tensor([1, 2])
    assert model.get_targets({"target": target}, None) is target


@pytest.mark.parametrize("auxiliary", [False, True])
def test_probabilities_are_float32(auxiliary):
    logits = torch.randn(3, 5).half()
    output = (logits, torch.zeros(3, 5)) if auxiliary else logits
    log_probs = classifier().get_normalized_probs(output, log_probs=True)
    assert log_probs.dtype == torch.float and torch.equal(log_probs, logits.float().log_softmax(-1))
    assert torch.allclose(classifier().get_normalized_probs(output, log_probs=False), log_probs.exp())


def test_options_reach_the_net():
    net = classifier(no_batch_norm=True, net_dropout=0.4).net
    assert not layers(net, nn.BatchNorm1d) and {module.p for module in layers(net, nn.Dropout)} == {0.4}


@pytest.mark.parametrize(
    "options, message",
    [
        ({"arch": "lenet5"}, "--arch lenet5: images of 8 x 8 px are too small; give e.g. --image-size 32"),
        ({"torchvision_model": "vgg11"}, "--torchvision-model vgg11: needs --arch torchvision, not lenet300"),
        ({"torchvision_weights": "a.pt"}, "--torchvision-weights a.pt: needs --arch torchvision, not lenet300"),
        ({"net_dropout": 1.0}, "--net-dropout 1.0: give a probability in [0, 1), e.g. --net-dropout 0.3"),
    ],
    ids=["small", "model", "weights", "dropout"],
)
def test_mistakes_are_one_line(options, message):
    with pytest.raises(SystemExit) as exit:
        classifier(**options)
    assert str(exit.value) == message


def test_weights_of_other_trainings(tmp_path):
    """As DistributedDataParallel names them, in the file of a training."""
    net, file = NETS["vgg8"](NetSpec(10, 3, 32)), tmp_path / "legacy.pth"
    state = {f"module.{name}": value for name, value in net.state_dict().items()}
    torch.save({"epoch": 3, "state_dict": state, "best_acc1": torch.tensor(92.4)}, file)
    built = classifier("vgg8", (3, 32, 32), 10, net_weights=str(file))
    assert all(torch.equal(value, net.state_dict()[name]) for name, value in built.net.state_dict().items())
    others = classifier("vgg8", (3, 32, 32), 7, net_weights=str(file)).net.state_dict()  # a new classifier
    assert [name for name, value in others.items() if not value.equal(net.state_dict()[name])] == [
        "classifier.weight",
        "classifier.bias",
    ]
    del state["module.classifier.bias"]
    torch.save({"state_dict": state}, file)
    with pytest.raises(SystemExit, match="--net-weights .*legacy.pth: does not fit --arch vgg8"):
        classifier("vgg8", (3, 32, 32), 10, net_weights=str(file))


def test_weights_for_other_images(tmp_path):
    """As many classes as the first layer has filters: it is not the classes that differ."""
    torch.save(NETS["vgg8"](NetSpec(64, 3, 32)).state_dict(), tmp_path / "colour.pt")
    with pytest.raises(SystemExit, match="colour.pt: does not fit --arch vgg8"):
        classifier("vgg8", (1, 32, 32), 64, net_weights=str(tmp_path / "colour.pt"))
