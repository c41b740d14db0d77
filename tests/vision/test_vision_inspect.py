"""`fairseq-prune inspect` of image classifiers."""

import json
import re

import pytest
from digits import DENSE_MACS, LAYERS, WIDTHS
from validation import validated_digits

from fairseq_prune.cli.main import main


def shown(capsys, *words):
    """What a command prints."""
    capsys.readouterr()
    main([*map(str, words)])
    return capsys.readouterr().out


def inspected(capsys, *words):
    return json.loads(shown(capsys, "inspect", *words, "--json"))


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
    metrics = validated_digits(masked)
    expected = {name: metrics[name] for name in ("loss", "top1", "top5")}
    for name, value in expected.items():
        assert columns["pruned"][f"valid_{name}"] == pytest.approx(value, abs=6e-4)
    assert {f"{split}_{name}" for split in ("valid", "test") for name in expected} <= columns["pruned"].keys()
    assert columns["pruned"]["valid_loss"] != columns["original"]["valid_loss"] != columns["original"]["test_loss"]
    text = shown(capsys, "inspect", compacted[0], "--data", "digits")
    assert re.search(rf"valid top1 \(%\) +{columns['pruned']['valid_top1']:.4f}\n", text)
