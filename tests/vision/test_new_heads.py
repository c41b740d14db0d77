"""Finetuning on other classes: all but the classifier comes along, masks and widths too."""

import numpy as np
import pytest
import torch
from conftest import masks_of, train_images, words_of
from digits import widths

OTHERS = "--arch resnet8 --max-update 1 --lr 1e-9 --weight-decay 0 --disable-validation"


@pytest.fixture(scope="module")
def seven(tmp_path_factory):
    """A file of images as the digits', in 7 classes."""
    path, rng = tmp_path_factory.mktemp("seven") / "data.npz", np.random.default_rng(1)
    pixels = {f"x_{split}": rng.integers(0, 255, (64, 8, 8), dtype=np.uint8) for split in ("train", "test")}
    np.savez(path, **pixels, y_train=np.arange(64) % 7, y_test=np.arange(64) % 7)
    return path


def tune(folder, data, start, *words):
    return train_images(folder, data, *words_of(OTHERS), "--finetune-from-model", start, *words)


def test_a_new_classifier_on_masked_weights(dense, seven, tmp_path, caplog):
    half = words_of("--max-update 1 --prune-method magnitude --prune-scope layer --prune-target 0.5")
    pruned = train_images(tmp_path / "pruned", "digits", "--arch", "resnet8", *half, "--finetune-from-model", dense)
    assert "net.fc.weight" in masks_of(pruned)
    with caplog.at_level("INFO"):
        tuned = tune(tmp_path / "tuned", seven, tmp_path / "pruned" / "checkpoint_last.pt")
    assert tuned["model"]["net.fc.weight"].shape == (7, 64) and tuned["model"]["net.fc.weight"].all()
    assert masks_of(tuned).keys() == masks_of(pruned).keys() - {"net.fc.weight"}
    name = "net.layer2.0.conv1.weight"
    assert torch.allclose(tuned["model"][name], pruned["model"][name], atol=1e-6)
    said = [record.message for record in caplog.records if "new weights" in record.message]
    assert said == ["the checkpoint has 10 classes, the images have 7: new weights for net.fc.weight, net.fc.bias"]
    again = tune(tmp_path / "tuned", seven, tmp_path / "pruned" / "checkpoint_last.pt", "--max-update", "2")
    assert torch.allclose(again["model"]["net.fc.weight"], tuned["model"]["net.fc.weight"], atol=1e-6)  # not new again


def test_a_new_classifier_on_cut_weights(compacted, seven, tmp_path):
    assert widths(tune(tmp_path, seven, compacted[0])["model"]) == {1: 4, 2: 16, 3: 44}


def test_going_on_with_other_classes_is_refused(dense, seven, tmp_path):
    with pytest.raises(SystemExit, match="the checkpoint has 10 classes, DATA 7; .*--finetune-from-model"):
        train_images(tmp_path, seven, *words_of(OTHERS), "--restore-file", dense)
