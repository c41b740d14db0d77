"""Filters, stripes, patterns, N:M and single weights of convolutional nets: totals, recipes, runs."""

import copy
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from conftest import masks_of, same_tensors, words_of
from known_structure import KnownStructure
from torch import nn

from fairseq_prune.engine.make_plan import make_plan
from fairseq_prune.engine.options import NAMES
from fairseq_prune.engine.permute import permute_in_run
from fairseq_prune.engine.recipe import read_recipe
from fairseq_prune.engine.targets import Targets
from fairseq_prune.pruning.prunable import find_prunables
from fairseq_prune.pruning.units import NM, NofM
from vision_bridge.models.nets import NETS, NetSpec
from vision_bridge.surgery.trace import trace

RECIPES = Path(__file__).parents[2] / "recipes" / "ddp"
TOTALS = {  # fraction of all that is not called a bias, the original's logs and its rule
    "filter": 0.5340591399018249,
    "stripe": 0.5713031,
    "pattern": 0.7430827902103071,
    "irregular": 0.8920896,
    "nm": 0.8104280,
}
INNER = "--prune-only *layer*conv*"
RUNS = {
    "filter": "--prune-method filter --prune-target 0.5",
    "stripe": f"--prune-method stripe --prune-target 0.5 {INNER}",
    "kernel": f"--prune-method irregular --prune-units kernel --prune-target 0.5 {INNER}",
    "patdnn": f"--prune-method patdnn --prune-target 0.8 {INNER}",
    "admm-pattern": f"--prune-method admm --prune-units pattern --prune-target 0.8 --prune-rho 0.1 {INNER}",
    "admm-filter": "--prune-method admm --prune-units filter --prune-target 0.5 --prune-rho 0.1",
    "admm-stripe": f"--prune-method admm --prune-units stripe --prune-target 0.5 --prune-rho 0.1 {INNER}",
    "n:m": f"--prune-method n:m --prune-target 2:4 {INNER}",
    "movement-stripe": f"--prune-method movement --prune-units stripe --prune-target 0.5 {INNER}",
    "skeleton": f"--prune-method skeleton --prune-target 0.5 {INNER}",
}


class Wrapped(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net


def total(net, options):
    """Removed, as a fraction of what the original counts, and the number of all it does not count."""
    model = Wrapped(net)
    targets = Targets(model, make_plan({**options, "rounding": "reference"}))
    targets.begin({})
    masks = targets.select(1, {}).masks
    removed = sum(int((~keep).sum()) for keep in masks.values())
    return removed / sum(p.numel() for name, p in model.named_parameters() if "bias" not in name), masks


@pytest.fixture(scope="module")
def vgg16():
    torch.manual_seed(1)
    return NETS["vgg16_bias"](NetSpec(10, 3, 32))


@pytest.mark.parametrize("name", TOTALS)
def test_totals_of_vgg16(vgg16, name):
    """Of the original's configurations, by its rule of one unit fewer; it masked filters' weights alone."""
    options = read_recipe(RECIPES / f"vgg16_cifar10_{name}.yaml", NAMES)
    if name == "filter":
        options["units"] = "row"
    found, masks = total(vgg16, options)
    assert found == pytest.approx(TOTALS[name], abs=5e-8)
    assert masks.keys() <= {key.replace("*", "net.", 1) for key in options["target"]}


def test_totals_of_resnet18():
    from torchvision.models import resnet18

    torch.manual_seed(1)
    options = read_recipe(RECIPES / "resnet18_imagenet_irregular.yaml", NAMES)
    net = resnet18(num_classes=1000)
    overall, masks = total(net, options)
    assert overall == pytest.approx(0.7312986660403817, abs=1e-9)
    head = int((~masks.pop("net.fc.weight")).sum())
    whole = sum(p.numel() for name, p in net.named_parameters() if "bias" not in name)
    assert (overall * whole - head) / (whole - net.fc.weight.numel()) == pytest.approx(0.7556481, abs=1e-7)


def test_published_fractions_of_two_of_four():
    """ImageNet's, of docs/seeds/ddp.md: the stages of ResNet-18; all but the first and last layer of VGG-16."""
    from torchvision.models import resnet18, vgg16

    torch.manual_seed(1)
    found, _ = total(resnet18(), {"method": "n:m", "target": "2:4", "only": ["*layer*.conv*.weight"]})
    assert 100 * found == pytest.approx(47.01, abs=0.005)
    with torch.device("meta"):  # half of what is prunable goes; 138 million weights need not be there
        model = Wrapped(vgg16())
    skipped = ["net.features.0.weight", "net.classifier.6.weight"]
    prunable = sum(p.parameter.numel() for p in find_prunables(model, (), skipped, ()))
    counted = sum(p.numel() for name, p in model.named_parameters() if "bias" not in name)
    assert 100 * prunable / 2 / counted == pytest.approx(48.52, abs=0.005)


def test_the_original_file_is_read_unchanged(tmp_path):
    """With the names of DistributedDataParallel, and its word for the head of torchvision's models."""
    file = tmp_path / "ratios.yaml"
    file.write_text("prune_ratio:\n  module.layer1.0.conv1.weight: 0.25\n  module.last_linear.weight: m4n2\n")
    options = read_recipe(file, NAMES)
    assert options["target"] == {"*layer1.0.conv1.weight": 0.25, "*fc.weight": "m4n2"}
    assert options["only"] == list(options["target"])


@pytest.mark.parametrize("first", range(3))
def test_the_original_names_of_vgg(tmp_path, first):
    """Any of the names that no ResNet has says what net it is."""
    file = tmp_path / "ratios.yaml"
    names = ("_features.2", "linear0", "linear1", "last_linear")[first:]
    file.write_text("\n".join(["prune_ratio:", *(f"  module.{name}.weight: 0.5" for name in names)]))
    layers = ("features.2", "classifier.0", "classifier.3", "classifier.6")[first:]
    assert read_recipe(file, NAMES)["only"] == [f"*{layer}.weight" for layer in layers]


def test_unlisted_layers_stay_whole(new_image_run, tmp_path):
    file = tmp_path / "ratios.yaml"
    file.write_text("prune-method: irregular\nprune_ratio:\n  layer1.0.conv1.weight: 0.25\n  fc.weight: 0.5\n")
    masks = masks_of(new_image_run().train("--prune-recipe", file, "--max-update", "2"))
    assert {name: int((~keep).sum()) for name, keep in masks.items()} == {
        "net.layer1.0.conv1.weight": 576,
        "net.fc.weight": 320,
    }


def test_filters_of_listed_layers_alone(tmp_path):
    """Not those of the layer before, whose channels a listed layer reads."""
    file = tmp_path / "ratios.yaml"
    file.write_text("prune-method: filter\nprune_ratio:\n  conv1.weight: 0.25\n  conv2.weight: 0.5\n")
    net = nn.Sequential()
    for name, (inputs, outputs) in {"conv1": (3, 8), "conv2": (8, 8), "conv3": (8, 8), "conv4": (8, 4)}.items():
        net.add_module(name, nn.Conv2d(inputs, outputs, 3))
    model = Wrapped(net)
    structure = trace(net, torch.zeros(2, 3, 16, 16), "net.")
    targets = Targets(model, make_plan(read_recipe(file, NAMES)), KnownStructure(lambda _: structure))
    targets.begin({})
    keep = targets.select(1, {}).keep
    assert {name: int((~units).sum()) for name, units in keep.items()} == {"net.conv1": 2, "net.conv2": 4}


def test_a_misspelt_layer_is_named(new_image_run, tmp_path):
    file = tmp_path / "ratios.yaml"
    file.write_text("prune-method: irregular\nprune_ratio:\n  layer1.0.konv1.weight: 0.25\n")
    message = r"layer1.0.konv1.weight: matches no parameter; did you mean 'net.layer1.0.conv1"
    with pytest.raises(SystemExit, match=message):
        new_image_run().train("--prune-recipe", file)


def reselected(name):
    words = words_of(RUNS[name])
    end = "--prune-end" if name in ("skeleton", "movement-stripe") else "--prune-freeze"
    return [*words, end, "6up", *([] if "skeleton" in name else ["--prune-every", "2up"])]


@pytest.mark.parametrize("name", RUNS)
def test_selected_anew_until_frozen(new_image_run, name):
    """Dense before, exact afterwards; resumed in the middle, the same to the bit."""
    run = new_image_run("whole")
    whole = run.train(*reselected(name), "--max-update", "9", "--save-interval-updates", "1")
    middle, frozen = run.checkpoint("checkpoint_2_5.pt"), run.checkpoint("checkpoint_2_7.pt")
    assert not masks_of(middle)
    if "filter" in name:
        widths = [found["model"]["net.layer1.0.conv1.weight"].shape[0] for found in (whole, middle)]
        assert widths == [8, 16]
    else:
        assert same_tensors(masks_of(frozen), masks_of(whole))
        assert_obeys(name, whole)
    resumed = new_image_run("resumed")
    resumed.begin_at(run.folder / "checkpoint_2_5.pt")
    after = resumed.train(*reselected(name), "--max-update", "9")
    assert same_tensors(whole["model"], after["model"]) and not same_tensors(whole["model"], middle["model"])
    assert same_tensors(whole["last_optimizer_state"]["state"], after["last_optimizer_state"]["state"])


def assert_obeys(name, checkpoint):
    masks = masks_of(checkpoint)
    assert set(masks) == {f"net.layer{stage}.0.conv{i}.weight" for stage in (1, 2, 3) for i in (1, 2)}
    removed = sum(int((~keep).sum()) for keep in masks.values()) / sum(keep.numel() for keep in masks.values())
    assert removed == pytest.approx(0.8 if "pat" in name else 0.5, abs=0.002)
    for entry, keep in masks.items():
        assert not checkpoint["model"][entry][~keep].any()
        if "stripe" in name or name == "skeleton":
            assert torch.equal(keep.any(1), keep.all(1))
        elif name == "kernel":
            assert torch.equal(keep.flatten(2).any(2), keep.flatten(2).all(2))
        elif name == "n:m":
            assert (keep.unflatten(1, (-1, 4)).sum(2) == 2).all()
        else:
            kernels = keep.reshape(-1, 9)
            assert set(kernels.sum(1).tolist()) == {0, 4} and len(kernels.unique(dim=0)) <= 9
    assert len({int((~keep).sum()) for keep in masks.values()}) > 1


def test_only_sparse_models_become_the_best(new_image_run):
    """Validation before the last selection sees the selected weights, but their file would not have them."""
    run = new_image_run()
    words = [*words_of(RUNS["n:m"]), "--prune-freeze", "2ep", "--prune-every", "1ep"]
    run.train(*words, "--max-update", "16", "--validate-interval", "1")
    best = run.checkpoint("checkpoint_best.pt")
    assert masks_of(best) and best["extra_state"]["train_iterator"]["epoch"] > 2


def test_layers_without_such_units_stay_whole(new_image_run, caplog):
    """Scope layer without being told so; the log says which and why, and the fraction is of the others."""
    caplog.set_level("INFO")
    for words, left_out in (
        ("--prune-method patdnn --prune-target 0.8", {"net.fc.weight": "3x3"}),
        ("--prune-method magnitude --prune-units 2:4", {"net.conv1.weight": "its 3 inputs are not divisible by 4"}),
    ):
        caplog.clear()
        masks = masks_of(new_image_run(words.split()[1]).train(*words.split(), "--max-update", "1"))
        for name, reason in left_out.items():
            assert name not in masks and re.search(rf"{name} stays whole: .*{reason}", caplog.text)
        assert len(masks) > 5
    with pytest.raises(SystemExit, match=r"--prune-only net.fc.weight: matches nothing with units pattern: .*3x3"):
        new_image_run("typed").train(
            "--prune-method", "patdnn", "--prune-target", "0.8", "--prune-only", "net.fc.weight"
        )


def test_reordering_keeps_more_and_computes_the_same():
    """Momentum goes along: the next step is the same function's, too."""
    torch.manual_seed(1)
    net = Wrapped(NETS["resnet8"](NetSpec(10, 3, 16))).double()
    images = torch.randn(4, 3, 16, 16, dtype=torch.float64)
    structure = trace(net.net, torch.zeros(2, 3, 16, 16), "net.")
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)

    def step():
        optimizer.zero_grad()
        net.net(images).square().mean().backward()
        optimizer.step()
        return answer()

    def answer():
        found = net.eval().net(images).detach()
        net.train()
        return found

    step()
    other, goals = copy.deepcopy((net, optimizer)), {"net.layer1.0.conv2.weight": NofM(2, 4)}
    before, weight = answer(), net.net.layer1[0].conv2.weight
    kept = lambda: float((weight.detach().abs() * NM().keep(weight.detach().abs(), 2, 4)).sum())  # noqa: E731
    most = kept()
    permute_in_run(net, structure, goals, SimpleNamespace(optimizer=optimizer), seed=1)
    assert kept() > most and torch.allclose(answer(), before, atol=1e-12)
    after = step()
    net, optimizer = other
    assert torch.allclose(step(), after, atol=1e-10)
    optimizer.state.clear()
    assert not torch.allclose(step(), after, atol=1e-4)  # control
    masks = {name: p.detach().abs() > 0.05 for name, p in net.named_parameters() if p.dim() > 1}
    for name, keep in masks.items():
        net.get_parameter(name).data.mul_(keep)
    moved = permute_in_run(net, structure, goals, SimpleNamespace(optimizer=optimizer), 1, masks)
    assert all(torch.equal(net.get_parameter(name) == 0, ~keep) for name, keep in moved.items())
    assert not all(torch.equal(moved[name], keep) for name, keep in masks.items())


@pytest.mark.parametrize("words", ["--prune-method n:m --prune-target 2:4", "--prune-method sr_ste --prune-target 2:4"])
def test_reordering_in_a_run(new_image_run, words):
    run = new_image_run()
    checkpoint = run.train(
        *words.split(), *INNER.split(), "--prune-permute", "--prune-freeze", "4up", "--max-update", "6"
    )
    for keep in masks_of(checkpoint).values():
        assert (keep.unflatten(1, (-1, 4)).sum(2) == 2).all()
