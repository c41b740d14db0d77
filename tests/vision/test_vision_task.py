"""Image classification by fairseq's commands: that it learns, measures, prunes and resumes as it should."""

import shutil
import subprocess
import sys

import numpy as np
import pytest
from conftest import masks_of, same_tensors, words_of
from digits import MLP, load, measure, train
from omegaconf import OmegaConf
from ranks import train_on
from validation import validated_digits

from fairseq_prune.compat import load_checkpoint
from vision_bridge.data.options import ImageOptions
from vision_bridge.data.source import open_source
from vision_bridge.task import ImageClassificationTask


def test_it_learns_the_digits(digits_run):
    model, task = load(digits_run / "checkpoint_best.pt")
    assert measure(model, task, "test")[0] > 85
    for module in model.modules():
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()
    assert measure(model, task, "test")[0] < 40


def test_it_learns_nothing_from_shuffled_labels(tmp_path):
    parts = open_source("digits", ImageOptions(seed=1)).parts
    arrays = {f"{kind}_{split}": value.numpy() for split, part in parts.items() for kind, value in (("x", part.images), ("y", part.targets))}  # fmt: skip  # noqa: E501
    arrays["y_train"] = np.random.default_rng(1).permutation(arrays["y_train"])
    np.savez(tmp_path / "shuffled.npz", **arrays)
    train(tmp_path, "--normalisation", "digits", data=tmp_path / "shuffled.npz")
    assert measure(*load(tmp_path / "checkpoint_last.pt"), "test")[0] < 25


@pytest.mark.parametrize("subset", ["valid", "test"])
def test_validation_measures_as_by_hand(digits_run, subset):
    path = digits_run / "checkpoint_best.pt"
    printed = validated_digits(path, subset)
    top1, bits = measure(*load(path), subset)
    assert printed["top1"] == pytest.approx(top1, abs=6e-4)
    assert printed["loss"] == printed["nll_loss"] == pytest.approx(bits, abs=6e-4)
    assert printed["top1"] < printed["top5"] <= 100


def test_the_best_checkpoint_is_of_the_best_top1(digits_run):
    state = load_checkpoint(digits_run / "checkpoint_best.pt")["extra_state"]
    assert state["best"] == state["val_loss"]
    assert state["best"] == pytest.approx(measure(*load(digits_run / "checkpoint_best.pt"), "valid")[0], abs=6e-4)


def test_two_ranks_measure_each_image_once(tmp_path):
    """They have 2 and 1 of the 3 validation batches, and no batch norms, whose means each rank has of its own."""
    train_on(2, ["digits", *words_of(MLP), "--no-batch-norm", "--max-update", 11, "--save-dir", tmp_path])
    state = load_checkpoint(tmp_path / "checkpoint_last.pt")["extra_state"]
    assert state["val_loss"] == pytest.approx(measure(*load(tmp_path / "checkpoint_last.pt"), "valid")[0], abs=6e-4)
    assert state["val_loss"] > 30


def test_options_given_to_validation_are_heard(digits_run):
    path = digits_run / "checkpoint_best.pt"
    as_test = validated_digits(path, "valid", "--holdout", "0")
    assert as_test["top1"] == validated_digits(path, "test")["top1"] != validated_digits(path, "valid")["top1"]


def test_a_task_of_a_checkpoint_does_not_augment(digits_run):
    _, task = load(digits_run / "checkpoint_best.pt", augmentation="crop_flip")
    task.load_dataset("train")
    assert task.dataset("train").augmentation is None


def test_pruning(tmp_path):
    checkpoint = train(tmp_path, *words_of("--prune-method magnitude --prune-target 0.8 --prune-start 1ep"))
    masks = masks_of(checkpoint)
    removed = sum(int((mask == 0).sum()) for mask in masks.values()) / sum(mask.numel() for mask in masks.values())
    assert removed == pytest.approx(0.8, abs=1e-4)
    assert measure(*load(tmp_path / "checkpoint_last.pt"), "test")[0] > 80


PRUNED = "--prune-method magnitude --prune-target 0.8 --prune-schedule cubic --prune-end 35up --prune-every 5up"


@pytest.mark.parametrize("words", ["", PRUNED], ids=["dense", "pruned"])
def test_a_resumed_run_is_an_uninterrupted_one(tmp_path, words):
    words = [*words_of(f"{words} --max-update 37 --save-interval-updates 27"), "--augmentation"]
    whole = train(tmp_path, *words, "crop_flip")
    resumed = {}
    for augmentation in ("crop_flip", "flip"):
        folder = tmp_path / augmentation
        folder.mkdir()
        shutil.copy(tmp_path / "checkpoint_2_27.pt", folder / "checkpoint_last.pt")  # in the second epoch
        resumed[augmentation] = train(folder, *words, augmentation)
    for part in ("model", "last_optimizer_state"):
        assert same_tensors(whole[part], resumed["crop_flip"][part])
    assert not same_tensors(whole["model"], resumed["flip"]["model"])


def new_task(**options):
    """A plain task and its training set."""
    cfg = OmegaConf.structured(ImageOptions(**{"data": "digits", "augmentation": "crop_flip", "seed": 1, **options}))
    task = ImageClassificationTask.setup_task(cfg)
    task.load_dataset("train")
    return task, task.dataset("train")


def epochs(**options):
    """Three epochs of training batches from one iterator, as fairseq-train takes them."""
    task, dataset = new_task(max_train_images=100)
    found = []
    for epoch in (1, 2, 3):
        batches = task.get_batch_iterator(dataset, max_sentences=40, epoch=epoch, **options)
        found += [list(batches.next_epoch_itr(shuffle=True))]
    batches._cur_epoch_itr = batches.dataloader = None  # else its workers keep the garbage collector waiting
    return found


def test_workers_that_live_on_know_the_epoch():
    alone, helped = epochs(), epochs(num_workers=2)
    assert same_tensors(alone, helped)
    assert [[batch["nsentences"] for batch in batches] for batches in alone] == [[40, 40, 20]] * 3
    assert len({tuple(batch["id"].tolist()) for batches in alone for batch in batches}) == 9


def test_any_module_may_be_imported_first():
    """fairseq_prune registers all modules when it is imported, which is when one of them needs it."""
    code = "import fairseq.tasks, vision_bridge.data.table as table; assert table.DATASETS; import vision_bridge.task"
    subprocess.run([sys.executable, "-c", code], check=True)
