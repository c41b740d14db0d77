"""`fairseq-prune compact` and `inspect` of image classifiers: the same answers from fewer channels."""

import copy
import json
import re
from argparse import Namespace
from collections import OrderedDict
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from conftest import USER_DIR, masks_of, run_fairseq, same_tensors, words_of
from fairseq.models import ARCH_CONFIG_REGISTRY

from fairseq_prune.cli.main import main
from fairseq_prune.compat import load_checkpoint
from fairseq_prune.deploy.compactors import COMPACTORS
from fairseq_prune.pruning.masks import store_masks
from vision_bridge.compact import compact as cut_checkpoint
from vision_bridge.models.classifier import ImageClassifier
from vision_bridge.rebuild import rebuild

TASK = ["digits", "--user-dir", USER_DIR, "--task", "prune_image_classification", "--num-workers", "0", "--cpu"]
L1 = "--prune-method l1 --stage-pr [0,0.75,0.5,0.3,0]"
WIDTHS = {1: 4, 2: 16, 3: 44}  # what stays of 16, 32 and 64 filters of each block's first convolution
LAYERS = {  # of the cut net: multiplications of 3x3 (and 1x1) kernels on 8x8, 4x4 and 2x2 pixels
    "net.conv1": 16 * 9 * 64,
    "net.layer1.0.conv1": 16 * 4 * 9 * 64, "net.layer1.0.conv2": 4 * 16 * 9 * 64,
    "net.layer2.0.conv1": 16 * 16 * 9 * 16, "net.layer2.0.conv2": 16 * 32 * 9 * 16,
    "net.layer3.0.conv1": 32 * 44 * 9 * 4, "net.layer3.0.conv2": 44 * 64 * 9 * 4,
    "net.fc": 640,
}  # fmt: skip
DENSE_MACS = 9 * (64 * (16 + 2 * 256) + 16 * (512 + 1024) + 4 * (2048 + 4096)) + 640


def train(folder, *words):
    """A ResNet-8 for 20 updates; with averages filters are masked, without they are cut in the run."""
    run_fairseq(
        "train", *TASK, *words_of("""--arch resnet8 --criterion image_classification --optimizer sgd --momentum 0.9
        --lr 0.05 --batch-size 64 --max-update 20 --no-epoch-checkpoints --disable-validation --log-format simple"""),
        "--save-dir", folder, *words,
    )  # fmt: skip
    return folder / "checkpoint_last.pt"


@pytest.fixture(scope="module")
def dense(tmp_path_factory):
    return train(tmp_path_factory.mktemp("dense"))


@pytest.fixture(scope="module")
def masked(dense, tmp_path_factory):
    return train(tmp_path_factory.mktemp("masked"), "--finetune-from-model", dense, *words_of(L1), "--store-ema")


@pytest.fixture(scope="module")
def compacted(masked, tmp_path_factory):
    """The masked checkpoint's compact file, and the report."""
    out = tmp_path_factory.mktemp("compact") / "new" / "small.pt"
    with pytest.MonkeyPatch.context() as patch:
        printed = []
        patch.setattr("builtins.print", lambda text, **_: printed.append(text))
        main(["compact", str(masked), str(out), "--json"])
    return out, json.loads(printed[-1])


def shown(capsys, *words):
    """What a command prints."""
    capsys.readouterr()
    main([*map(str, words)])
    return capsys.readouterr().out


def inspected(capsys, *words):
    return json.loads(shown(capsys, "inspect", *words, "--json"))


def validated(capsys, path):
    """The metrics that ``fairseq-validate`` prints, by name."""
    capsys.readouterr()
    run_fairseq("validate", *TASK, "--path", path, "--batch-size", "50", "--log-format", "simple")
    line = re.findall(r"valid on 'valid' subset \| ([^\"\n]*)", "".join(capsys.readouterr()))[-1]
    found = dict(part.split() for part in line.split(" | "))
    return {name: float(found[name]) for name in ("loss", "top1", "top5")}


def widths(state):
    return {i: len(state[f"net.layer{i}.0.conv1.weight"]) for i in (1, 2, 3)}


def test_masked_channels_leave(masked, compacted):
    out, report = compacted
    before, after = load_checkpoint(masked), load_checkpoint(out)
    assert widths(before["model"]) == {1: 16, 2: 32, 3: 64} and widths(after["model"]) == WIDTHS
    assert report["removed"] == {"channel": 12 + 16 + 20}
    assert report["before"]["macs"] == DENSE_MACS and report["after"]["macs"] == sum(LAYERS.values())
    channel = {1: 9 * 32, 2: 9 * (16 + 32), 3: 9 * (32 + 64)}  # weights; the norm has two more
    gone = sum(({1: 16, 2: 32, 3: 64}[i] - width) * (channel[i] + 2) for i, width in WIDTHS.items())
    assert report["before"]["params"] - report["after"]["params"] == gone
    assert report["after"]["bytes"] == out.stat().st_size < 0.4 * masked.stat().st_size
    assert report["difference"] < 1e-12 and report["batches"] == 4
    assert (report["arch"], report["task"]) == ("resnet8", "prune_image_classification")
    assert masks_of(before) and not masks_of(after)
    assert after["last_optimizer_state"] is None and "ema" in before["extra_state"]
    assert not {"ema", "PruneImageClassificationTask"} & after["extra_state"].keys()


def test_validation_measures_the_same(dense, masked, compacted, capsys):
    measured = validated(capsys, compacted[0])
    assert measured == validated(capsys, masked) != validated(capsys, dense)
    assert measured["top1"] > 30


def test_finetuning_goes_on(compacted, tmp_path):
    tuned = load_checkpoint(train(tmp_path, "--finetune-from-model", compacted[0]))
    start = load_checkpoint(compacted[0])
    assert widths(tuned["model"]) == WIDTHS
    assert not same_tensors(tuned["model"], start["model"])
    slow = load_checkpoint(train(tmp_path / "slow", "--finetune-from-model", compacted[0], "--lr", "1e-9"))
    name = "net.layer1.0.conv1.weight"
    assert torch.allclose(slow["model"][name], start["model"][name], atol=1e-6)  # it is where it began
    assert not torch.allclose(tuned["model"][name], start["model"][name], atol=1e-6)


def test_a_cut_in_the_run_leaves_nothing_to_cut(dense, tmp_path):
    path = train(tmp_path, "--finetune-from-model", dense, *words_of(L1))
    assert widths(load_checkpoint(path)["model"]) == WIDTHS
    assert "nothing to cut: no channel has only zeros" in refused("compact", path, tmp_path / "out.pt")


# Inspection


def test_totals_are_sums_of_layers(masked, compacted, capsys):
    small = inspected(capsys, compacted[0])
    assert {layer["name"]: layer["macs"] for layer in small["layers"]} == LAYERS
    assert [layer["shape"] for layer in small["layers"]][:2] == [[16, 1, 3, 3], [4, 16, 3, 3]]
    for report in (small, inspected(capsys, masked)):
        total, layers = report["total"], report["layers"]
        assert total["macs"] == sum(layer["macs"] for layer in layers)
        assert total["nonzero_macs"] == sum(layer["nonzero_macs"] for layer in layers) == sum(LAYERS.values())
        convs = [layer for layer in layers if layer["kind"] == "conv"]
        assert total["conv_params"] == sum(layer["params"] for layer in convs)
        zeros = sum(layer["params"] - layer["nonzero"] for layer in convs)
        assert total["conv_fraction_removed"] == zeros / total["conv_params"]
        assert total["params_without_norms"] == sum(layer["params"] for layer in layers) + 10  # the classifier's biases
        norms = sum(row["params"] for row in report["tensors"] if "bn" in row["name"])
        assert total["params"] == total["params_without_norms"] + norms
        assert total["overall_params"] == total["params_without_norms"] - 10 + norms // 2
    assert zeros > 0 == small["total"]["conv_fraction_removed"]
    assert (total["image"], total["classes"]) == ([1, 8, 8], 10)


@pytest.mark.parametrize("cut", [True, False], ids=["compact", "masked"])
def test_beside_the_original(dense, masked, compacted, capsys, cut):
    found = inspected(capsys, compacted[0] if cut else masked, "--original", dense)
    before, after, ratios = found["original"]["total"], found["pruned"]["total"], found["ratios"]
    speedup = DENSE_MACS / sum(LAYERS.values())
    assert ratios["speedup"] == (speedup if cut else 1) and ratios["nonzero_speedup"] == speedup
    assert ratios["compression"] == before["params"] / after["params"] == (pytest.approx(1) if not cut else pytest.approx(75002 / after["params"]))  # fmt: skip  # noqa: E501
    assert ratios["compression_without_norms"] == before["params_without_norms"] / after["params_without_norms"]
    convolutions = sum(p["params"] for p in found["original"]["layers"] if p["kind"] == "conv")
    left = 16 * 9 + sum(9 * width * {1: 32, 2: 48, 3: 96}[i] for i, width in WIDTHS.items())
    assert ratios["conv_fraction_removed"] == 1 - left / convolutions  # cut or zero is the same
    assert 0 < ratios["fraction_removed"] < ratios["overall_fraction_removed"] < ratios["conv_fraction_removed"]


def test_tables(dense, masked, compacted, capsys):
    text = shown(capsys, "inspect", masked)
    assert re.search(r"net\.layer1\.0\.conv1 +16x16x3x3 +2,304 +576 +0\.7500 +147,456 +36,864\n", text)
    assert re.search(rf"all layers .* {DENSE_MACS:,} +{sum(LAYERS.values()):,}\n", text)
    assert "image               1x8x8, 10 classes" in text
    both = shown(capsys, "inspect", compacted[0], "--original", dense)
    assert re.search(r"net\.layer1\.0\.conv1 +147,456 +36,864 +0\.2500\n", both)
    assert f"speedup (MACs)      {DENSE_MACS / sum(LAYERS.values()):.4f}x" in both
    assert max(map(len, (text + both).splitlines())) <= 120


def test_evaluation(masked, compacted, dense, capsys):
    columns = inspected(capsys, compacted[0], "--data", "digits", "--original", dense)
    assert columns["pruned"]["macs"] == sum(LAYERS.values()) and columns["original"]["macs"] == DENSE_MACS
    expected = validated(capsys, masked)
    for name, value in expected.items():
        assert columns["pruned"][f"valid_{name}"] == pytest.approx(value, abs=6e-4)
    assert {f"{split}_{name}" for split in ("valid", "test") for name in expected} <= columns["pruned"].keys()
    assert columns["pruned"]["valid_loss"] != columns["original"]["valid_loss"] != columns["original"]["test_loss"]
    text = shown(capsys, "inspect", compacted[0], "--data", "digits")
    assert re.search(rf"valid top1 \(%\) +{columns['pruned']['valid_top1']:.4f}\n", text)


# What can leave


def new_checkpoint(arch, seed=1, **more):
    """What fairseq-train would save of a new model for images of 1x8x8 in 10 classes."""
    options = Namespace(arch=arch, _name=arch, **more)
    ARCH_CONFIG_REGISTRY[arch](options)
    torch.manual_seed(seed)
    model = ImageClassifier.build_model(options, SimpleNamespace(image_shape=(1, 8, 8), classes=10))
    cfg = {"model": options, "task": {"_name": "prune_image_classification", "data": "digits"}}
    return {"model": model.state_dict(), "cfg": cfg, "args": None, "extra_state": {}}


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


@pytest.fixture(scope="module")
def perceptron():
    """Two hidden layers, 300 and 100 units with biases, without norms."""
    checkpoint = new_checkpoint("lenet300", no_batch_norm=True)
    names = [name.removesuffix(".weight") for name in checkpoint["model"] if name.endswith(".weight")]
    assert hidden(checkpoint) == [300, 100]
    return checkpoint, names


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


def test_units_that_only_the_leaving_know(perceptron):
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
    """Filters of zeros are constants after a norm with a shift; with the shift gone, too, they can leave."""
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


# Mistakes


def refused(*words):
    with pytest.raises(SystemExit) as caught:
        main([*map(str, words)])
    assert "\n" not in caught.value.code
    return caught.value.code


def test_a_wrong_cut_is_refused_and_leaves_no_file(masked, tmp_path, monkeypatch):
    """Negative control of the comparison: the shift of one channel that stays is a little off."""
    right = COMPACTORS["image_classifier"]

    def wrong(checkpoint):
        cut, removed = right.compact(checkpoint)
        cut["model"]["net.layer1.0.bn2.bias"][0] += 1e-3
        return cut, removed

    monkeypatch.setitem(COMPACTORS, "image_classifier", replace(right, compact=wrong))
    message = refused("compact", masked, tmp_path / "out.pt")
    assert re.search(r"differ by \d\.\d+e-\d+ of the largest one, more than 1e-06; nothing is written", message)
    assert not list(tmp_path.iterdir())


def test_mistakes_end_in_one_line(dense, masked, tmp_path):
    out = tmp_path / "out.pt"
    assert "nothing to cut" in refused("compact", dense, out)
    assert "DATA nowhere: no such folder" in refused("compact", masked, out, "--data", "nowhere")
    assert "is CHECKPOINT itself" in refused("compact", masked, masked, "--overwrite")
    assert "--reference needs --data" in refused("inspect", masked, "--reference")
    out.write_text("mine")
    assert "exists; give another name or --overwrite" in refused("compact", masked, out)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]


def test_nets_that_cannot_be_cut():
    with pytest.raises(ValueError, match="^ShuffleNet cannot be traced: "):
        cut_checkpoint(new_checkpoint("shufflenetv2"))
    with pytest.raises(ValueError, match="^nothing to cut: no channel of this net can leave$"):
        cut_checkpoint(new_checkpoint("logistic"))


def test_checkpoints_that_do_not_fit(perceptron):
    checkpoint, (one, *_) = perceptron
    without = {**checkpoint, "model": OrderedDict(checkpoint["model"])}
    del without["model"][f"{one}.bias"]
    with pytest.raises(ValueError, match=f"do not fit architecture lenet300: .*{one}.bias"):
        rebuild(without)
    options = {k: v for k, v in vars(checkpoint["cfg"]["model"]).items() if k != "image_shape"}
    with pytest.raises(ValueError, match="does not say the shape of its images"):
        rebuild({**checkpoint, "cfg": {**checkpoint["cfg"], "model": Namespace(**options)}})
