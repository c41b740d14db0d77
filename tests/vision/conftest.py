"""Nets trained on the digits, which several files of tests look at and leave as they are."""

import json

import pytest
from conftest import words_of
from digits import L1, new_checkpoint, train, train_resnet

from fairseq_prune.cli.main import main


@pytest.fixture(scope="session", autouse=True)
def caches(tmp_path_factory):
    """Which images were checked is not noted in the home of who runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def digits_run(tmp_path_factory):
    """Folder of a LeNet-300's run."""
    folder = tmp_path_factory.mktemp("lenet300")
    train(folder)
    return folder


@pytest.fixture(scope="session")
def trained(digits_run):
    """Path of its last checkpoint."""
    return str(digits_run / "checkpoint_last.pt")


@pytest.fixture(scope="session")
def dense(tmp_path_factory):
    """Path of a ResNet-8's checkpoint."""
    return train_resnet(tmp_path_factory.mktemp("dense"))


@pytest.fixture(scope="session")
def masked(dense, tmp_path_factory):
    """Path of one some of whose filters are masked."""
    return train_resnet(tmp_path_factory.mktemp("masked"), "--finetune-from-model", dense, *words_of(L1), "--store-ema")


@pytest.fixture(scope="session")
def compacted(masked, tmp_path_factory):
    """The masked checkpoint's compact file, and the report."""
    out = tmp_path_factory.mktemp("compact") / "new" / "small.pt"
    with pytest.MonkeyPatch.context() as patch:
        printed = []
        patch.setattr("builtins.print", lambda text, **_: printed.append(text))
        main(["compact", str(masked), str(out), "--json"])
    return out, json.loads(printed[-1])


@pytest.fixture(scope="session")
def perceptron():
    """A new checkpoint of two hidden layers, 300 and 100 units with biases, without norms; and its layers' names."""
    checkpoint = new_checkpoint("lenet300", no_batch_norm=True)
    return checkpoint, [name.removesuffix(".weight") for name in checkpoint["model"] if name.endswith(".weight")]
