"""Convolutions in groups lose as many channels in each, which each chooses by itself."""

import copy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import masks_of, train_images, words_of
from vision_nets import build, images

from fairseq_prune.cli.main import main
from fairseq_prune.compat import load_checkpoint
from fairseq_prune.engine.plan import Plan
from fairseq_prune.pruning.selecting.coupled import CoupledSelector
from fairseq_prune.pruning.surgery.cut import cut_state, cut_tensor, entries, replace_values
from fairseq_prune.pruning.surgery.table import Owner
from fairseq_prune.pruning.units import parse_units
from vision_bridge.surgery.dead import keep_living
from vision_bridge.surgery.trace import trace

RUN = """--arch torchvision --torchvision-model regnet_x_400mf --batch-size 8 --max-update 3 --disable-validation"""
HALF = "--prune-method l1 --prune-units filter --prune-target 0.5"


@pytest.fixture(scope="module")
def noise(tmp_path_factory):
    """A file of 16 images of 3 x 32 x 32 in 10 classes."""
    path, rng = tmp_path_factory.mktemp("noise") / "data.npz", np.random.default_rng(1)
    pixels = {f"x_{split}": rng.integers(0, 255, (16, 32, 32, 3), dtype=np.uint8) for split in ("train", "test")}
    np.savez(path, **pixels, y_train=np.arange(16) % 10, y_test=np.arange(16) % 10)
    return path


@pytest.fixture(scope="module")
def benchmark():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
        import vision_reach

        yield vision_reach
        del sys.modules["vision_reach"]


def selector(net, structure, **plan):
    plan = Plan(method="magnitude", units="filter", importance="magnitude", **plan)
    parameters = dict(net.named_parameters())
    return CoupledSelector(plan, structure, parse_units("filter"), lambda scores: scores, parameters)


def select(net, fraction, scope):
    structure = trace(net, torch.zeros(2, 3, 16, 16))
    chosen = selector(net, structure, target={"*": fraction}, scope=scope)
    fractions = dict.fromkeys(chosen.groups, fraction)
    return structure, chosen.select(fractions, {}, torch.Generator()).keep


@pytest.mark.parametrize("fraction, stay", [(0.5, 4), (0.3, 6), (0.8, 2), (0.05, 8)])
def test_each_group_keeps_its_largest(fraction, stay):
    """Of 4 groups of 8: what is asked of a layer is asked of each group."""
    net = build("resnext")
    _, keep = select(net, fraction, "layer")
    weight, kept = net.layer1[0].conv2.weight.detach(), keep["layer1.0.conv2"]
    assert weight.shape == (32, 8, 3, 3)
    expected = [block.abs().sum((1, 2, 3)).topk(stay).indices.sort().values.tolist() for block in weight.split(8)]
    assert [rows.nonzero().flatten().tolist() for rows in kept.split(8)] == expected
    assert len({tuple(rows) for rows in expected}) > 1 or stay == 8  # they choose differently


def test_one_ranking_of_all_layers():
    net = build("regnet")
    structure, keep = select(net, 0.4, "global")
    left, total = sum(int(units.sum()) for units in keep.values()), sum(v.length for v in structure.vectors.values())
    widest = max(v.heads for v in structure.vectors.values())
    assert widest > 1 and 0 <= left - round(0.6 * total) < widest  # as long as what is removed together fits
    shares = {name: units.view(structure.vectors[name].heads, -1).sum(1) for name, units in keep.items()}
    assert all((counts == counts[0]).all() and counts[0] > 0 for counts in shares.values())
    assert len({int(counts[0]) / len(keep[name]) * len(counts) for name, counts in shares.items()}) > 3


def test_columns_are_removed_by_block():
    """Element by element: in channel j of group i is the column j of that group's filters alone."""
    weight, keep = torch.arange(4 * 3.0).view(4, 3, 1, 1), torch.tensor([True, False, True, False, True, True])
    cut = cut_tensor(weight, [Owner(1, "in", blocks=2)], {"in": keep})
    assert cut.flatten(1).tolist() == [[0, 2], [3, 5], [7, 8], [10, 11]] and cut.is_contiguous()


def test_dead_channels_are_cut_evenly():
    net = build("resnext").eval()
    structure, norm = trace(net, torch.zeros(2, 3, 16, 16)), net.layer1[0].bn2
    dead = [0, 1, 2, 9, 10, 17, 26, 27]  # 3, 2, 1 and 2 of the groups
    for value in (net.layer1[0].conv2.weight, norm.weight, norm.bias):
        value.data[dead] = 0
    (keep,) = keep_living(structure, dict(net.named_parameters())).values()
    assert (~keep).nonzero().flatten().tolist() == [0, 9, 17, 26]
    small = copy.deepcopy(net)
    replace_values(small, cut_state(entries(net), structure.table, {"layer1.0.conv2": keep}))
    with torch.no_grad():
        assert torch.allclose(small(images(16)), net(images(16)), rtol=1e-10)


@pytest.mark.parametrize("name", ["resnext", "regnet", "convnext"])
def test_as_far_as_torch_pruning(name, benchmark):
    """As many parameters left at half of all channels, as the benchmark counts them."""
    example = torch.zeros(2, 3, 16, 16)
    ours, theirs = (
        sum(p.numel() for p in cut(build(name, made=False).float(), example).parameters())
        for cut in (benchmark.cut_by_ours, benchmark.cut_by_theirs)
    )
    whole = sum(p.numel() for p in build(name).parameters())
    assert ours == theirs < 0.4 * whole


def shapes(state):
    return {name: tuple(value.shape) for name, value in state["model"].items()}


def test_a_run_cuts_and_another_one_takes_it_over(noise, tmp_path, capsys):
    """Cut in the run; masked beside averages, and compacted to the same shapes; finetuned at these."""
    cut = train_images(tmp_path / "cut", noise, *words_of(RUN), *words_of(HALF))
    block = "net.trunk_output.block2.block2-0.f.b.0.weight"
    assert shapes(cut)[block] == (32, 8, 3, 3)  # of 64 filters in 4 groups of 16
    train_images(tmp_path / "masked", noise, *words_of(RUN), *words_of(HALF), "--store-ema", "--ema-decay", "0.9")
    masked = tmp_path / "masked" / "checkpoint_last.pt"
    whole = load_checkpoint(masked)
    size = [sum(value.numel() for value in state["model"].values()) for state in (cut, whole)]
    assert 0.25 < size[0] / size[1] < 0.255 and masks_of(whole)
    main(["compact", str(masked), str(tmp_path / "small.pt")])
    assert shapes(load_checkpoint(tmp_path / "small.pt")) == shapes(cut)
    tuned = train_images(tmp_path / "tuned", noise, *words_of(RUN), "--finetune-from-model", tmp_path / "small.pt")
    assert shapes(tuned) == shapes(cut)
