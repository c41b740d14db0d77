"""Sources of images: what is found, how it is split, in which order it comes, and what is refused."""

import pickle
from collections import Counter

import numpy as np
import pytest
import torch

from vision_bridge.data.images import Images
from vision_bridge.data.options import ImageOptions
from vision_bridge.data.source import open_source
from vision_bridge.data.splits import split, stratified_draw
from vision_bridge.data.table import AUGMENTATIONS, DATASETS, Augmentation


def source(data="digits", **options):
    return open_source(str(data), ImageOptions(**{"seed": 1, **options}))


def arrays(count=20, shape=(32, 32, 3), classes=10, seed=1):
    """Arrays of an npz file, ``count`` for training and half as many for testing."""
    rng = np.random.default_rng(seed)
    out = {}
    for name, n in (("train", count), ("test", count // 2)):
        out[f"x_{name}"] = rng.integers(0, 256, (n, *shape), dtype=np.uint8)
        out[f"y_{name}"] = np.arange(n) % classes
    return out


def write(path, **changes):
    """An npz file; a change of None leaves a key out."""
    content = {**arrays(), **changes}
    np.savez(path, **{key: value for key, value in content.items() if value is not None})
    return path


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


# Files of torchvision


def idx(path, array):
    """MNIST's file format."""
    header = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    path.write_bytes(header + array.astype(np.uint8).tobytes())


def test_torchvisions_mnist(tmp_path):
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    content = arrays(shape=(28, 28))
    for key, prefix in (("train", "train"), ("test", "t10k")):
        idx(raw / f"{prefix}-images-idx3-ubyte", content[f"x_{key}"])
        idx(raw / f"{prefix}-labels-idx1-ubyte", content[f"y_{key}"])
    for found in (source(tmp_path), source("mnist", data_root=str(tmp_path)), source(tmp_path, image_size=32)):
        assert found.row == DATASETS["mnist"] and found.parts["test"].targets.tolist() == [*range(10)]
        assert found.parts["train"].images.shape == (20, *found.shape)
    assert np.array_equal(source(tmp_path).parts["train"].images[:, 0], content["x_train"])


def test_torchvisions_cifar(tmp_path, monkeypatch):
    from torchvision.datasets import cifar

    monkeypatch.setattr(cifar, "check_integrity", lambda *args: True)  # ours are no real files
    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    content = arrays(shape=(3, 32, 32), classes=100)
    for name in ("train", "test"):
        data = {"data": content[f"x_{name}"].reshape(-1, 3072), "fine_labels": content[f"y_{name}"].tolist()}
        (folder / name).write_bytes(pickle.dumps(data))
    (folder / "meta").write_bytes(pickle.dumps({"fine_label_names": [str(k) for k in range(100)]}))
    found = source(tmp_path)
    assert found.row == DATASETS["cifar100"]
    assert np.array_equal(found.parts["train"].images, content["x_train"])


def test_damaged_files_of_torchvision(tmp_path):
    (tmp_path / "cifar-10-batches-py").mkdir()
    with pytest.raises(ValueError, match="DATA cifar10: not read .*--download"):
        source("cifar10", data_root=str(tmp_path)).images("test")


def test_downloads_only_when_told_to(tmp_path, monkeypatch):
    from torchvision import datasets

    asked = []

    def read(root, download, **which):
        asked.append(download)
        raise RuntimeError("no network")

    monkeypatch.setattr(datasets, "SVHN", read)
    with pytest.raises(ValueError, match="--download"):
        source("svhn", data_root=str(tmp_path)).images("train")
    assert asked == []
    with pytest.raises(ValueError, match="no network"):
        source("svhn", data_root=str(tmp_path), download=True).images("train")
    assert asked == [True]


# Order and batches


def batches_of(dataset, size=64, epoch=1, workers=0, offset=0, **shard):
    """The batches of an epoch as fairseq makes them, from the ``offset``-th on."""
    from fairseq.data.iterators import EpochBatchIterator

    sampler = dataset.batches(epoch, size)
    batches = EpochBatchIterator(
        dataset, dataset.collater, sampler, epoch=epoch, num_workers=workers, disable_shuffling=True, **shard
    )
    if offset:
        batches.load_state_dict({"epoch": epoch, "iterations_in_epoch": offset, "shuffle": False})
    found = list(batches.next_epoch_itr(shuffle=False))
    batches._cur_epoch_itr = None  # else its workers keep the garbage collector waiting for 10 s
    return found


def ids(batches):
    return [batch["id"].tolist() for batch in batches if batch]


def same(one, two):
    return len(one) == len(two) and all(
        torch.equal(a["id"], b["id"]) and torch.equal(a["net_input"]["image"], b["net_input"]["image"])
        for a, b in zip(one, two, strict=True)
    )


def training_set(seed=1):
    return source("digits", augmentation="crop_flip", max_train_images=300, seed=seed).dataset("train", trains=True)


def test_batches_have_the_very_size():
    batches = batches_of(training_set(), size=77)
    assert [batch["nsentences"] for batch in batches] == [77, 77, 77, 69] == [batch["ntokens"] for batch in batches]
    assert batches[0]["net_input"]["image"].shape == (77, 1, 8, 8) and batches[0]["target"].dtype == torch.int64
    assert sorted(sum(ids(batches), [])) == [*range(300)]


def test_order_of_training():
    first, second, other = (ids(batches_of(training_set(seed), epoch=e)) for seed, e in ((1, 1), (1, 2), (2, 1)))
    assert first == ids(batches_of(training_set()))
    assert first != second and first != other
    assert not training_set().can_reuse_epoch_itr_across_epochs


def test_evaluation_is_in_order_and_unchanged():
    dataset = source("digits", augmentation="crop_flip").dataset("test", trains=False)
    batches = batches_of(dataset, epoch=3)
    assert sum(ids(batches), []) == [*range(359)] and dataset.can_reuse_epoch_itr_across_epochs
    images = torch.cat([batch["net_input"]["image"] for batch in batches])
    assert torch.equal(images, dataset.normalise(source().parts["test"].images))


@pytest.mark.parametrize("epoch", [1, 2])
def test_workers_and_resuming_change_nothing(epoch):
    expected = batches_of(training_set(), epoch=epoch)
    assert same(expected, batches_of(training_set(), epoch=epoch, workers=2))
    assert same(expected[2:], batches_of(training_set(), epoch=epoch, offset=2))
    assert not same(expected, batches_of(training_set(), epoch=epoch + 1))


def test_ranks_share_the_images():
    dataset = source().dataset("test", trains=False)
    shards = [batches_of(dataset, size=100, num_shards=3, shard_id=rank) for rank in range(3)]
    assert [len(shard) for shard in shards] == [2, 2, 2] and shards[1][1] == {}
    assert Counter(index for shard in shards for batch in ids(shard) for index in batch) == Counter(range(359))


# Folders of images


def picture(path, width=40, height=30, seed=1):
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)).save(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three classes of six training images and two of validation, of different sizes."""
    root = tmp_path_factory.mktemp("folder")
    for split_, count in (("train", 6), ("val", 2)):
        for name in ("ant", "bee", "cat"):
            for i in range(count):
                picture(root / split_ / name / f"{i}.png", 40 + i, 30 + 4 * i, seed=i + ord(name[0]))
    return root


def test_a_folder_of_classes(folder):
    found = source(folder, image_size=16)
    assert (found.shape, found.classes, found.mean) == ((3, 16, 16), 3, (0.5,))
    assert found.augmentation == Augmentation()
    assert found.parts["train"].targets.tolist() == [0] * 6 + [1] * 6 + [2] * 6
    assert found.parts["test"].images[0].endswith("val/ant/0.png")
    assert len(found.images("valid")) == 2 and source(folder).shape == (3, 224, 224)


def test_evaluation_of_files_is_torchvisions(folder):
    from PIL import Image
    from torchvision import transforms

    dataset = source(folder, image_size=14, normalisation="imagenet").dataset("test", trains=False)
    row = DATASETS["imagenet"]
    steps = [transforms.Resize(16), transforms.CenterCrop(14), transforms.ToTensor()]
    theirs = transforms.Compose([*steps, transforms.Normalize(row.mean, row.std)])
    expected = torch.stack([theirs(Image.open(path)) for path in dataset.images])
    (batch,) = batches_of(dataset)
    assert batch["target"].tolist() == [0, 0, 1, 1, 2, 2]
    assert torch.allclose(batch["net_input"]["image"], expected, atol=1e-5)


def folder_to_train_on(folder, **options):
    found = source(folder, image_size=16, **options)
    found.augmentation = Augmentation(resized_crop=True, flip=0.5)  # of a row with more classes
    return found.dataset("train", trains=True)


def test_training_on_files(folder):
    state = torch.get_rng_state()
    expected = batches_of(folder_to_train_on(folder), size=5)
    assert same(expected, batches_of(folder_to_train_on(folder), size=5, workers=2))
    assert same(expected[1:], batches_of(folder_to_train_on(folder), size=5, offset=1))
    assert not same(expected, batches_of(folder_to_train_on(folder, seed=2), size=5))
    dataset = folder_to_train_on(folder)
    one = dataset[3][1]
    assert torch.equal(one, dataset[3][1]) and one.shape == (3, 16, 16) and one.dtype == torch.uint8
    assert not torch.equal(one, dataset[len(dataset) + 3][1])  # of the next epoch
    dataset.collater([dataset[3]])
    torch.set_rng_state(state)
    dataset.collater([dataset[3]])
    assert torch.equal(torch.get_rng_state(), state)


def test_tiny_imagenet(tmp_path):
    for number, name in enumerate(("n01", "n02")):
        for i in range(5):
            picture(tmp_path / "train" / name / "images" / f"{name}_{i}.JPEG", 64, 64, seed=i)
        picture(tmp_path / "val" / "images" / f"val_{number}.JPEG", 64, 64)
    (tmp_path / "val" / "val_annotations.txt").write_text("val_1.JPEG\tn02\t0\t0\t9\t9\nval_0.JPEG\tn01\t0\t0\t9\t9\n")
    with pytest.raises(ValueError, match="2 class folders, the --image-set has 200 classes"):
        source(tmp_path)
    for i in range(3, 201):
        picture(tmp_path / "train" / f"n{i:03}" / "0.JPEG", 1, 1)
    found = source(tmp_path)
    assert found.row == DATASETS["tinyimagenet"] and found.classes == 200
    assert found.parts["test"].targets.tolist() == [*map(sorted(f.name for f in (tmp_path / "train").iterdir()).index, ("n02", "n01"))]  # fmt: skip  # noqa: E501
    (batch,) = batches_of(found.dataset("test", trains=False))
    assert batch["net_input"]["image"].shape == (2, 3, 64, 64)
    assert found.dataset("train", trains=True).augmentation == Augmentation(padding=8, flip=0.5)


def test_bad_folders(tmp_path, folder):
    (tmp_path / "train").mkdir()
    with pytest.raises(ValueError, match="no class folders in train/"):
        source(tmp_path)
    (tmp_path / "train" / "cat").mkdir()
    picture(tmp_path / "val" / "dog" / "1.png")
    with pytest.raises(ValueError, match="class dog is not in train/"):
        source(tmp_path)
    picture(tmp_path / "train" / "dog" / "1.png")
    with pytest.raises(ValueError, match="train/cat: no images"):
        source(tmp_path)
    (tmp_path / "train" / "cat" / "1.png").write_text("no picture")
    broken = source(tmp_path, holdout=0).dataset("train", trains=True)
    with pytest.raises(ValueError, match="cat/1.png: not a readable image"):
        broken[0]
    with pytest.raises(ValueError, match="3 class folders, the --image-set has 10"):
        source(folder, image_set="imagenette").images("test")


# Errors

BAD_OPTIONS = [
    ({"holdout": 1.0}, "--holdout 1.0.*--holdout 0.1"),
    ({"holdout": -0.1}, "--holdout -0.1"),
    ({"holdout": 0.0001}, "--holdout 0.0001: leaves valid"),
    ({"max_train_images": 0}, "--max-train-images 0"),
    ({"image_size": 0}, "--image-size 0.*--image-size 32"),
    ({"image_set": "cifar11"}, "--image-set cifar11.*did you mean 'cifar10"),
    ({"normalisation": "imagnet"}, "--normalisation imagnet.*did you mean 'imagenet'"),
    ({"normalisation": "cifar10"}, "--normalisation cifar10: of 3 channels, the images have 1"),
    ({"augmentation": "flop"}, "--augmentation flop.*did you mean 'flip'"),
    ({"image_set": "mnist"}, "images of 1x8x8 in train, not of 1x28x28"),
]


@pytest.mark.parametrize("options, message", BAD_OPTIONS)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        source(**options).dataset("valid", trains=False)


BAD_FILES = [
    ({"y_test": None}, {}, "x_test without y_test"),
    ({"x_test": None, "y_test": None}, {}, "no x_test and y_test"),
    ({"x_train": np.zeros((20, 32, 32, 3))}, {}, "x_train is float64"),
    ({"x_train": np.zeros((20, 32, 32, 5), np.uint8)}, {}, "no axis of 1 or 3 channels"),
    ({"x_train": np.zeros((20, 16, 16, 3), np.uint8)}, {}, "images of 3x32x32 in test, not of 3x16x16"),
    ({"y_train": np.arange(19)}, {}, r"y_train is int64 \[19\]"),
    ({"y_train": np.arange(20.0)}, {}, "y_train is float64"),
    ({"y_train": np.arange(20) - 1}, {}, "labels -1 to 18 in train"),
    ({"y_test": np.arange(10) + 15}, {}, "labels 15 to 24 in test, not in 0 to 9"),
    ({"y_train": np.arange(20)}, {"image_set": "cifar10"}, "labels 0 to 19 in train, not in 0 to 9"),
    ({"x_train": np.zeros((0, 32, 32, 3), np.uint8), "y_train": np.arange(0)}, {}, "no images for train"),
    ({}, {"image_set": "mnist", "image_size": 28}, "images of 3x28x28 in train, not of 1x28x28"),
]


@pytest.mark.parametrize("changes, options, message", BAD_FILES)
def test_bad_npz_files(tmp_path, changes, options, message):
    with pytest.raises(ValueError, match=message):
        source(write(tmp_path / "a.npz", **changes), **options).dataset("valid", trains=False)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 truncated", b"text"])
def test_damaged_npz_files(tmp_path, content):
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(ValueError, match="a.npz: not a readable npz file"):
        source(tmp_path)


def test_objects_in_npz_files_are_not_loaded(tmp_path):
    with pytest.raises(ValueError, match="not a readable npz file"):
        source(write(tmp_path / "a.npz", x_train=np.array([{}], dtype=object)))


def test_missing_files(tmp_path):
    for data in ("digit", tmp_path / "no", f"{tmp_path}/a.npz:{tmp_path}/b.npz"):
        with pytest.raises(ValueError, match="DATA .*no such f"):
            source(data)
    with pytest.raises(ValueError, match="neither npz files"):
        source(tmp_path)
