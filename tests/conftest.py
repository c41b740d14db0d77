"""Toy data and fairseq's own commands, run in this process."""

import gc
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import fairseq  # noqa: F401  (before fairseq_prune, which then registers itself)
import pytest
import torch
from processes import adopt_orphans, left_running

import fairseq_prune
from fairseq_prune.compat import load_checkpoint
from fairseq_prune.pruning.masks import stored_masks

USER_DIR = str(Path(fairseq_prune.__file__).parent)
torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"  # of child processes: sums of several threads differ in their last bits

TINY = """--encoder-layers 1 --decoder-layers 1 --encoder-embed-dim 16 --decoder-embed-dim 16
    --encoder-ffn-embed-dim 32 --decoder-ffn-embed-dim 32 --encoder-attention-heads 2 --decoder-attention-heads 2"""


@pytest.fixture(scope="session", autouse=True)
def no_process_outlives_the_tests():
    """Neither a child nor a child's child; a data loader's worker ends seconds after its loader is forgotten."""
    adopt_orphans()
    yield
    gc.collect()
    end = time.monotonic() + 20
    while (left := left_running()) and time.monotonic() < end:
        time.sleep(0.2)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left, f"still running when the tests were through: {left}"


def reset_fairseq():
    """fairseq keeps meters and TensorBoard's files as globals."""
    from fairseq.logging import metrics, progress_bar

    metrics.reset()
    progress_bar._close_writers()
    progress_bar._tensorboard_writers.clear()


def run_fairseq(command, *words):
    """Run ``fairseq-<command>`` with an argument list in this process."""
    import importlib

    main = importlib.import_module(f"fairseq_cli.{command}").cli_main
    argv, sys.argv = sys.argv, [f"fairseq-{command}", *map(str, words)]
    try:
        reset_fairseq()
        return main()
    finally:
        sys.argv = argv


@pytest.fixture
def small_disk(monkeypatch):
    """Call it with a number: no file may grow beyond so many bytes then; the system's error is as of a full disk.

    Python leaves half of a module's bytecode behind then, which fails at the next import: it writes none.
    """
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


@pytest.fixture
def trains_here(monkeypatch):
    """Drivers train in this process, which saves it the imports; the folders that were trained in, a list."""
    folders = []

    def run(command, check, preexec_fn):  # without the last one a killed driver would leave its training running
        folders.append(Path(command[command.index("--save-dir") + 1]).name)
        run_fairseq("train", *command[3:])
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr("fairseq_prune.drivers.training.subprocess", SimpleNamespace(run=run))
    return folders


def words_of(text):
    """Split a command written over several lines."""
    return text.split()


@pytest.fixture(scope="session")
def text(tmp_path_factory):
    """Folder of train/valid/test text: sentences of invented words and their reversal."""
    folder = tmp_path_factory.mktemp("text")
    rng = random.Random(1)
    vocabulary = [f"w{i}" for i in range(40)]
    for split, count in (("train", 120), ("valid", 16), ("test", 8)):
        sentences = [[rng.choice(vocabulary) for _ in range(rng.randint(3, 8))] for _ in range(count)]
        (folder / f"{split}.de").write_text("".join(" ".join(s) + "\n" for s in sentences))
        (folder / f"{split}.en").write_text("".join(" ".join(s[::-1]) + "\n" for s in sentences))
    return folder


@pytest.fixture(scope="session")
def parallel(text, tmp_path_factory):
    """Binarised parallel data with a shared dictionary."""
    folder = tmp_path_factory.mktemp("parallel")
    run_fairseq(
        "preprocess", "--source-lang", "de", "--target-lang", "en", "--joined-dictionary",
        "--trainpref", text / "train", "--validpref", text / "valid", "--testpref", text / "test",
        "--destdir", folder,
    )  # fmt: skip
    return folder


@pytest.fixture(scope="session")
def monolingual(text, tmp_path_factory):
    """Binarised text for language models."""
    folder = tmp_path_factory.mktemp("monolingual")
    run_fairseq(
        "preprocess", "--only-source", "--trainpref", text / "train.en", "--validpref", text / "valid.en",
        "--testpref", text / "test.en", "--destdir", folder,
    )  # fmt: skip
    return folder


@pytest.fixture(scope="session")
def counting(tmp_path_factory):
    """Binarised text that a language model can learn: lines that count on from where they begin."""
    folder, rng = tmp_path_factory.mktemp("counting"), random.Random(1)
    for split, lines in (("train", 150), ("valid", 30), ("test", 20)):
        starts = [rng.randrange(20) for _ in range(lines)]
        text = [" ".join(f"w{(start + i) % 20}" for i in range(rng.randint(4, 9))) for start in starts]
        (folder / split).write_text("\n".join(text) + "\n")
    splits = [word for split in ("train", "valid", "test") for word in (f"--{split}pref", folder / split)]
    run_fairseq("preprocess", "--only-source", *splits, "--destdir", folder / "bin")
    return folder / "bin"


class Run:
    """A training run in a folder of its own."""

    def __init__(self, folder, data, task, arch):
        self.folder, self.data, self.task, self.arch = folder, data, task, arch

    def train(self, *words):
        """``fairseq-train`` until ``--max-update`` (default 8); returns the last checkpoint."""
        run_fairseq("train", *self.words(*words), "--user-dir", USER_DIR)
        return self.checkpoint()

    def words(self, *words):
        """The arguments of :meth:`train`, but for ``--user-dir``."""
        criterion = "masked_lm" if "masked_lm" in self.task else "cross_entropy"
        return [
            self.data, "--task", self.task, *words_of(self.arch),
            *words_of(f"""--criterion {criterion} --optimizer adam --max-tokens 100 --cpu
            --num-workers 0 --max-update 8 --no-epoch-checkpoints --log-format simple --log-interval 1000"""),
            *_rate("0.01", words), "--save-dir", self.folder, *words,
        ]  # fmt: skip

    def begin_at(self, file):
        """Make the folder, with a checkpoint file of another run that this one is to resume."""
        self.folder.mkdir()
        shutil.copy(file, self.folder / "checkpoint_last.pt")

    def checkpoint(self, name="checkpoint_last.pt"):
        """Load a checkpoint of the run."""
        return load_checkpoint(self.folder / name)


def _rate(rate, words):
    """``--lr``, which one scheduler refuses."""
    return [] if "phased" in words else ["--lr", rate]


def run_maker(folder, parallel):
    def make(name="run", data=None, task="prune_translation", arch=f"--arch transformer --share-all-embeddings {TINY}"):
        return Run(folder / name, data or parallel, task, arch)

    return make


@pytest.fixture
def new_run(tmp_path, parallel):
    """Make runs: ``new_run("name", task=..., arch=..., data=...)``; a tiny Transformer by default."""
    return run_maker(tmp_path, parallel)


@pytest.fixture(scope="module")
def module_run(tmp_path_factory, parallel):
    """As ``new_run``, for a whole module of tests."""
    return run_maker(tmp_path_factory.mktemp("module"), parallel)


IMAGES = """--task prune_image_classification --criterion image_classification --optimizer sgd --momentum 0.9
    --batch-size 64 --cpu --num-workers 0 --no-epoch-checkpoints --log-format simple --log-interval 1000"""


def train_images(folder, data, *words):
    """``fairseq-train`` of an image classifier; of options given twice the last counts. Returns the last checkpoint."""
    rate = _rate("0.05", words)
    run_fairseq("train", data, "--user-dir", USER_DIR, *words_of(IMAGES), *rate, "--save-dir", folder, *words)
    return load_checkpoint(folder / "checkpoint_last.pt")


class ImageRun(Run):
    """A run on a few generated images."""

    def train(self, *words):
        few = """--image-size 8 --max-train-images 64 --batch-size 16 --weight-decay 5e-4 --lr-scheduler phased
            --lr-ft 0:0.05 --max-update 16"""
        prunes = {"--prune-method", "--prune-recipe"} & set(words)
        more = ["--prune-lr", "0.01"] if prunes else []
        more += [] if "--validate-interval" in words else ["--disable-validation"]
        return train_images(self.folder, "synthetic", *words_of(self.arch), *words_of(few), *more, *words)


@pytest.fixture
def new_image_run(tmp_path):
    return lambda name="run", arch="--arch resnet8": ImageRun(tmp_path / name, None, None, arch)


def masks_of(checkpoint):
    """The masks in a checkpoint, by parameter name."""
    return stored_masks(checkpoint["model"])


def same_tensors(a, b):
    """True if two nested structures hold the same tensors, bit for bit, and the same plain values."""
    if torch.is_tensor(a):
        return torch.is_tensor(b) and a.shape == b.shape and torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same_tensors(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same_tensors, a, b))
    return a == b
