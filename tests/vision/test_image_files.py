"""Images from torchvision's files and from folders."""

import os
import pickle
import struct
import zlib

import numpy as np
import pytest
import torch
from image_data import arrays, batches_of, same, source

from vision_bridge.data.table import DATASETS, Augmentation

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
    with pytest.raises(ValueError, match="cat/1.png: not a readable image"):
        source(tmp_path, holdout=0)
    with pytest.raises(ValueError, match="3 class folders, the --image-set has 10"):
        source(folder, image_set="imagenette").images("test")


def small_set(folder, count=3):
    for split_ in ("train", "val"):
        for i in range(count):
            picture(folder / split_ / "cat" / f"{i}.png")
    return folder


def postscript(path):
    path.write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n(x) run\nshowpage\n%%EOF\n")


def truncated(path):
    picture(path)
    path.write_bytes(path.read_bytes()[:-500])


def truncated_jpeg(path):
    picture(path.with_suffix(".jpg"), 400, 400)
    path.write_bytes(path.with_suffix(".jpg").read_bytes()[:-5000])
    path.with_suffix(".jpg").unlink()


def bomb(path):
    """A PNG of 15,000 x 15,000 pixels in a few bytes."""
    header = struct.pack(">IIBBBBB", 15_000, 15_000, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"\0")), (b"IEND", b""))
    pieces = (struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(pieces))


def dangling(path):
    path.symlink_to("nowhere")


@pytest.mark.parametrize("make", [postscript, truncated, truncated_jpeg, bomb, dangling])
@pytest.mark.parametrize("image_set", [None, "imagenette"])
def test_bad_images_are_named_when_the_set_is_opened(tmp_path, make, image_set, monkeypatch):
    from PIL import EpsImagePlugin

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", None)  # calling it would be another error
    make(small_set(tmp_path) / "train" / "cat" / "9.png")
    for i in range(1, 10):
        picture(tmp_path / "train" / f"x{i}" / "0.png")
    with pytest.raises(ValueError, match=r"cat/9.png: not a readable image \(.+\); remove") as refused:
        found = source(tmp_path, **({"image_set": image_set} if image_set else {}))
        assert image_set and found.images("train")
    assert "\n" not in str(refused.value)


def test_hidden_files_are_no_images(tmp_path):
    small_set(tmp_path)
    for hidden in ("cat/._1.png", "cat/.trash/2.png", ".cache/3.png"):
        (tmp_path / "train" / hidden).parent.mkdir(exist_ok=True)
        (tmp_path / "train" / hidden).write_text("no picture")
    found = source(tmp_path)
    assert found.classes == 1 and [path[-5:] for path in found.parts["train"].images] == ["0.png", "1.png", "2.png"]


def test_a_set_is_checked_once(tmp_path, monkeypatch):
    checked = []
    monkeypatch.setattr("vision_bridge.data.files._check", checked.append)
    source(small_set(tmp_path))
    assert len(checked) == 6
    source(tmp_path)
    assert len(checked) == 6  # known
    os.utime(tmp_path / "val" / "cat" / "0.png", (1, 1))
    source(tmp_path)
    assert len(checked) == 12  # a file has changed
