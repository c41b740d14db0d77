"""Sets of images: those without files, npz files, and how they are split."""

import numpy as np
import pytest
import torch
from image_data import arrays, source, write

from vision_bridge.data.images import Images
from vision_bridge.data.splits import split, stratified_draw
from vision_bridge.data.table import AUGMENTATIONS, DATASETS, Augmentation

# Sets without files


def test_digits():
    digits = source()
    train, test = digits.parts["train"], digits.parts["test"]
    assert digits.shape == (1, 8, 8) and digits.classes == 10
    assert (len(train), len(test)) == (1438, 359)
    assert train.images.dtype == torch.uint8 and train.images.max() == 255 and train.images.min() == 0
    counts = torch.bincount(train.targets), torch.bincount(test.targets)
    assert ((counts[1] / (counts[0] + counts[1]) - 0.2).abs() < 0.01).all()
    pixels = torch.cat([train.images, test.images]) / 255
    assert pixels.mean() == pytest.approx(DATASETS["digits"].mean[0], abs=1e-3)
    assert pixels.std() == pytest.approx(DATASETS["digits"].std[0], abs=1e-3)


def test_digits_are_resized():
    large = source(image_size=32)
    assert large.shape == (1, 32, 32) and large.parts["train"].images.shape == (1438, 1, 32, 32)
    small = torch.nn.functional.avg_pool2d(large.parts["train"].images.float(), 4)[:, 0]
    original = source().parts["train"].images[:, 0].float()
    assert np.corrcoef(small.flatten(), original.flatten())[0, 1] > 0.95


def nearest_mean(parts, targets):
    """Fraction of test images nearest to the mean training image of their class."""
    means = torch.stack([parts["train"].images[targets == k].float().mean(0).flatten() for k in range(10)])
    guesses = torch.cdist(parts["test"].images.flatten(1).float(), means).argmin(1)
    return (guesses == parts["test"].targets).float().mean()


def test_the_synthetic_set_can_be_learnt():
    parts = source("synthetic").parts
    assert source("synthetic").shape == (3, 16, 16) == tuple(parts["train"].images.shape[1:])
    assert nearest_mean(parts, parts["train"].targets) > 0.9
    shuffled = parts["train"].targets[torch.randperm(2000, generator=torch.Generator().manual_seed(1))]
    assert nearest_mean(parts, shuffled) < 0.35
    assert torch.equal(parts["train"].images, source("synthetic", seed=2).parts["train"].images)
    assert source("synthetic", image_size=9).parts["test"].images.shape == (500, 3, 9, 9)


# Splits


def test_drawn_of_each_class_alike():
    targets = np.repeat([0, 1, 2], [100, 37, 4])
    drawn = stratified_draw(targets, 0.25, seed=1)
    assert drawn.sum() == round(0.25 * 141)
    assert all(abs(drawn[targets == k].sum() - 0.25 * (targets == k).sum()) <= 1 for k in range(3))
    assert (drawn != stratified_draw(targets, 0.25, seed=2)).any()
    assert not stratified_draw(targets, 0, seed=1).any() and stratified_draw(targets, 1, seed=1).all()


def identities(images):
    return [bytes(image.numpy()) for image in images.images]


def test_validation_images_are_held_out_of_training():
    noise = torch.randint(0, 256, (200, 1, 5, 5), dtype=torch.uint8)
    parts = {
        "train": Images(noise[:150], torch.arange(150) % 10),
        "test": Images(noise[150:], torch.arange(50) % 10),
    }
    train, valid, test = (split(parts, name, 0.2) for name in ("train", "valid", "test"))
    assert (len(train), len(valid), len(test)) == (120, 30, 50)
    assert sorted(identities(train) + identities(valid)) == sorted(identities(parts["train"]))
    assert set(torch.bincount(valid.targets).tolist()) == {3}
    assert test is parts["test"] and split(parts, "valid", 0) is test and len(split(parts, "train", 0)) == 150
    few = split(parts, "train", 0.2, 40)
    assert len(few) == 40 and set(identities(few)) < set(identities(train))
    assert identities(few)[:10] == identities(split(parts, "train", 0.2, 10))


@pytest.mark.parametrize("name", ["train", "valid", "test"])
def test_splits_do_not_depend_on_the_seed(name):
    one, two = (source(seed=seed, max_train_images=100).images(name) for seed in (1, 2))
    assert torch.equal(one.images, two.images) and torch.equal(one.targets, two.targets)


# npz files


@pytest.mark.parametrize(
    "shape, axes, expected",
    [((32, 32, 3), (0, 3, 1, 2), (3, 32, 32)), ((3, 9, 9), (0, 1, 2, 3), (3, 9, 9)), ((7, 5), (0, 1, 2), (1, 7, 5))],
)
def test_layouts_of_npz_files(tmp_path, shape, axes, expected):
    content = arrays(shape=shape)
    found = source(write(tmp_path / "a.npz", **content))
    assert found.shape == expected and found.classes == 10
    assert np.array_equal(found.parts["train"].images.numpy().reshape(20, -1), content["x_train"].transpose(axes).reshape(20, -1))  # fmt: skip  # noqa: E501
    assert found.parts["test"].targets.tolist() == [*range(10)]


def test_parts_follow_one_another(tmp_path):
    content = [arrays(seed=seed) for seed in range(3)]
    only_train = {"x_test": None, "y_test": None}
    paths = [
        write(tmp_path / f"part-{i}.npz", **{**one, **(only_train if i < 2 else {})}) for i, one in enumerate(content)
    ]
    folder, listed = source(tmp_path), source(f"{paths[2]}:{paths[0]}")
    assert [len(part) for part in folder.parts.values()] == [60, 10]
    assert np.array_equal(folder.parts["train"].images[20:40].permute(0, 2, 3, 1), content[1]["x_train"])
    assert np.array_equal(listed.parts["train"].images[:20].permute(0, 2, 3, 1), content[2]["x_train"])


@pytest.mark.parametrize(
    "shape, classes, options, row",
    [
        ((32, 32, 3), 10, {}, "cifar10"),
        ((32, 32, 3), 100, {}, "cifar100"),
        ((32, 32, 3), 10, {"image_set": "svhn"}, "svhn"),
        ((32, 32, 3), 7, {}, None),
        ((28, 28), 10, {}, None),
        ((28, 28), 10, {"image_set": "mnist"}, "mnist"),
    ],
)
def test_the_row_of_an_npz_file(tmp_path, shape, classes, options, row):
    found = source(write(tmp_path / "a.npz", **arrays(count=200, shape=shape, classes=classes)), **options)
    expected = DATASETS[row] if row else None
    assert (found.row == expected) if row else (found.mean, found.std) == ((0.5,), (0.5,))
    assert found.augmentation == (expected.augmentation if row else Augmentation())
    assert found.classes == classes


def test_a_set_by_name_below_the_data_root(tmp_path):
    (tmp_path / "cifar10").mkdir()
    write(tmp_path / "cifar10" / "a.npz")
    assert len(source("cifar10", data_root=str(tmp_path)).parts["train"]) == 20


@pytest.mark.parametrize(
    "options, mean, augmentation",
    [
        ({}, "cifar10", Augmentation(padding=4, flip=0.5)),
        ({"normalisation": "imagenet"}, "imagenet", Augmentation(padding=4, flip=0.5)),
        ({"augmentation": "none"}, "cifar10", Augmentation()),
        ({"augmentation": "flip"}, "cifar10", Augmentation(flip=0.5)),
        ({"augmentation": "snipit"}, "cifar10", AUGMENTATIONS["snipit"]),
        ({"augmentation": "crop_flip", "image_size": 16}, "cifar10", Augmentation(padding=2, flip=0.5)),
    ],
)
def test_options_override_the_row(tmp_path, options, mean, augmentation):
    found = source(write(tmp_path / "a.npz"), **options)
    assert (found.mean, found.std) == (DATASETS[mean].mean, DATASETS[mean].std)
    assert found.dataset("train", trains=True).augmentation == augmentation
    assert found.dataset("train", trains=False).augmentation is None
