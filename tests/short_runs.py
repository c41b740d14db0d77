"""Trainings that the pages print, run in miniature one after the other: what one writes, the next starts from."""

import os
from functools import partial
from pathlib import Path

import image_data
from as_printed import files_read
from conftest import run_fairseq
from pages import RECIPE, ROOT
from shortened import here, shortened, started_dense, value
from torch import nn

from fairseq_prune.evaluate.describe import describe_checkpoint

IMAGES = {"cifar10": (32, 32, 3), "cifar100": (32, 32, 3), "mnist": (28, 28), "imagenet": (64, 64, 3)}
STAGES = "\nprune-stages: all=*"
WIDE = "vgg", "torchvision", "resnet18_snip"
WIDTHS = {"in_features", "out_features", "in_channels", "out_channels", "num_features"}
LAYERS = nn.Conv2d, nn.Linear, nn.BatchNorm2d, nn.BatchNorm1d

SMALLER = ["--cpu", "--num-workers", "0"]  # what an evaluation is given in addition
FEW = {"language": ["--batch-size", "2"], "parallel": []}  # and for its kind of text


class ShortRuns:
    """The folder of a reader who has typed some of the commands.

    Args:
        folder: to fill; commands are run in it.
        printed: trainings of the pages, lists of words after ``fairseq-train``.
        texts: dict of "parallel" and "language" -> folder of binarised text.
        patch: pytest's monkeypatch.
    """

    def __init__(self, folder, printed, texts, patch):
        self._printed, self._texts, self._patch = printed, texts, patch
        self._writers = {os.path.normpath(value(words, "--save-dir", "checkpoints")): words for words in printed}
        self._home = folder / "work" / "main"
        self._home.mkdir(parents=True, exist_ok=True)
        if not (self._home / "recipes").exists():
            (self._home / "recipes").symlink_to(ROOT / "recipes")
        patch.chdir(self._home)

    def train(self, words):
        """Run a training; returns the path of its last checkpoint."""
        self._provide(words)
        return self._train(words)

    def evaluation(self, name, words):
        """A program (generate, validate, eval-lm) ready to run; its checkpoint is there, trained as printed."""
        words, task = here(words), value(words, "--task", "prune_translation")
        path = Path(value(words, "--path"))
        if not path.exists():
            start = next((told for told in self._printed if value(told, "--task") == task), self._printed[0])
            source = self._writers.get(os.path.normpath(path.parent), started_dense(start))
            self.train([*source, "--save-dir", str(path.parent)])
            if not path.exists():
                (path.parent / "checkpoint_last.pt").rename(path)
        self._data(words[0], kind_of(task))
        return partial(run_fairseq, name.replace("-", "_"), *words, *SMALLER, *FEW[kind_of(task)])

    def _train(self, words):
        folder = Path(value(words, "--save-dir", "checkpoints"))
        for file in folder.glob("checkpoint*.pt"):
            file.unlink()
        if (recipe := Path(value(words, "--prune-recipe", "recipes"))) and not recipe.exists():
            recipe.parent.mkdir(parents=True, exist_ok=True)
            recipe.write_text(RECIPE + STAGES * ("stage" in words))
        self._data(words[0], kind_of(value(words, "--task")))
        with self._patch.context() as patch:
            if value(words, "--arch").startswith(WIDE):
                narrow(patch)
            run_fairseq("train", *shortened(words))
        return folder / "checkpoint_last.pt"

    def _provide(self, words):
        """What a command starts from: written by the one that prints it, or by this one without pruning."""
        for file in map(Path, files_read("fairseq-train", words)):
            if file.exists():
                continue
            writer = self._writers.get(os.path.normpath(file.parent))
            if writer and writer != words:
                self.train(writer)
            else:
                self._train([*started_dense(words), "--save-dir", str(file.parent)])
            if not file.exists():
                (file.parent / "checkpoint_last.pt").rename(file)

    def _data(self, name, kind):
        if Path(name).name in IMAGES:
            folder = Path(name) if "/" in name else Path("data-bin") / name
            if not folder.exists():
                folder.mkdir(parents=True)
                image_data.write(folder / "all.npz", **image_data.arrays(36, IMAGES[Path(name).name]))
        elif name != "digits":
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).unlink(missing_ok=True)
            Path(name).symlink_to(self._texts[kind])


def kind_of(task):
    """Of the text that a task reads."""
    return "language" if "language" in task else "parallel"


def narrow(patch):
    """Layers become an eighth as wide, where their widths are multiples of 64."""
    for kind in LAYERS:
        patch.setattr(kind, "__init__", _narrow(kind.__init__))


def _narrow(build):
    def built(layer, *widths, **options):
        options |= {name: _eighth(options[name]) for name in WIDTHS & options.keys()}
        count = 1 if isinstance(layer, nn.modules.batchnorm._BatchNorm) else 2
        build(layer, *map(_eighth, widths[:count]), *widths[count:], **options)

    return built


def _eighth(width):
    return width // 8 if width % 64 == 0 else width


def removed(path):
    """The fraction of its parameters that a run has removed, masked or cut."""
    return describe_checkpoint(str(path))["total"].get("params_removed", 0)
