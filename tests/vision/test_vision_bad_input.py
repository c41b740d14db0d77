"""Mistakes in vision that are explained before training."""

import numpy as np
import pytest
from conftest import train_images, words_of


def images(path, shape=(8, 8, 3), classes=10):
    """Write an npz file of noise."""
    rng, count = np.random.default_rng(1), {"train": 80, "test": 24}
    pixels = {f"x_{split}": rng.integers(0, 255, (n, *shape), dtype=np.uint8) for split, n in count.items()}
    np.savez(path, **pixels, **{f"y_{split}": np.arange(n) % classes for split, n in count.items()})
    return path


def train(folder, data, *words, arch="resnet8"):
    """One update; returns the path of the checkpoint."""
    short = "--batch-size 16 --max-update 1 --disable-validation"
    train_images(folder, data, "--arch", arch, *words_of(short), *words)
    return folder / "checkpoint_last.pt"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A checkpoint of 8x8 colour images in 10 classes."""
    folder = tmp_path_factory.mktemp("trained")
    data = images(folder / "data.npz")
    return {arch: train(folder / arch, data, arch=arch) for arch in ("resnet8", "mlp5")}


@pytest.mark.parametrize(
    "arch, data, message",
    [
        ("resnet8", {"shape": (8, 8, 1)}, r"other images than DATA's 1x8x8: its net.conv1.weight is \[16, 3, 3, 3\]"),
        ("mlp5", {"shape": (16, 16, 3)}, "other images than DATA's 3x16x16: .*--image-size"),
        ("mlp5", {"shape": (4, 4, 3)}, "other images than DATA's 3x4x4: .*--image-size"),
    ],
    ids=["grey", "larger", "smaller"],
)
def test_a_checkpoint_of_other_data(tmp_path, trained, arch, data, message):
    with pytest.raises(SystemExit, match=message) as caught:
        train(tmp_path, images(tmp_path / "data.npz", **data), "--finetune-from-model", trained[arch], arch=arch)
    assert "\n" not in caught.value.code and not list(tmp_path.glob("*.pt"))


def test_the_same_data_are_none_of_these(tmp_path, trained):
    data = images(tmp_path / "data.npz")
    assert train(tmp_path, data, "--finetune-from-model", trained["resnet8"]).exists()


@pytest.mark.parametrize(
    "arch, words, message",
    [
        ("lenet5", "", "--arch lenet5: images of 8 x 8 px are too small; give e.g. --image-size 32"),
        (
            "shufflenetv2",
            "--prune-method l1 --prune-target 0.5 --image-size 16",
            "nothing of --arch shufflenetv2 can be cut out, for it shuffles channels",
        ),
        ("resnet8", "--prune-method l1 --stage-pr [0.5,0,0,0,0]", "conv1 cannot lose filters; give it 0 instead of"),
        ("resnet8", "--prune-method l1 --stage-pr [0,0,0,0,0.5]", "fc cannot lose filters; give it 0 instead of"),
    ],
)
def test_what_a_net_cannot(tmp_path, arch, words, message):
    with pytest.raises(SystemExit, match=message):
        train(tmp_path, images(tmp_path / "data.npz"), *words.split(), arch=arch)
    assert not list(tmp_path.glob("*.pt"))
