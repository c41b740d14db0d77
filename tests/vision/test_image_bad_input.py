"""Images and options of theirs that are refused."""

import numpy as np
import pytest
from image_data import source, write

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
