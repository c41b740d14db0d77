"""`fairseq-prune compact` of image classifiers: the same answers from fewer channels."""

import torch
from commands import refused
from conftest import masks_of, same_tensors, words_of
from digits import DENSE_MACS, L1, LAYERS, WIDTHS, train_resnet, widths
from validation import validated_digits

from fairseq_prune.compat import load_checkpoint


def test_masked_channels_are_cut(masked, compacted):
    out, report = compacted
    before, after = load_checkpoint(masked), load_checkpoint(out)
    assert widths(before["model"]) == {1: 16, 2: 32, 3: 64} and widths(after["model"]) == WIDTHS
    assert report["removed"] == {"channel": 12 + 16 + 20, "neuron": 0, "head": 0}
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


def test_validation_measures_the_same(dense, masked, compacted):
    measured = validated_digits(compacted[0])
    assert measured == validated_digits(masked) != validated_digits(dense)
    assert measured["top1"] > 30


def test_finetuning_goes_on(compacted, tmp_path):
    tuned = load_checkpoint(train_resnet(tmp_path, "--finetune-from-model", compacted[0]))
    start = load_checkpoint(compacted[0])
    assert widths(tuned["model"]) == WIDTHS
    assert not same_tensors(tuned["model"], start["model"])
    slow = load_checkpoint(train_resnet(tmp_path / "slow", "--finetune-from-model", compacted[0], "--lr", "1e-9"))
    name = "net.layer1.0.conv1.weight"
    assert torch.allclose(slow["model"][name], start["model"][name], atol=1e-6)  # it is where it began
    assert not torch.allclose(tuned["model"][name], start["model"][name], atol=1e-6)


def test_a_cut_in_the_run_leaves_nothing_to_cut(dense, tmp_path):
    path = train_resnet(tmp_path, "--finetune-from-model", dense, *words_of(L1))
    assert widths(load_checkpoint(path)["model"]) == WIDTHS
    assert "nothing to cut: no channel has only zeros" in refused("compact", path, tmp_path / "out.pt")
