"""The folder of a reader in miniature: under the names of the pages lie models of a few weights, and their data."""

import os
import shutil
from pathlib import Path

from as_printed import files_read
from conftest import Run, train_images

from fairseq_prune.cli.main import main

KINDS = {  # of models: what a command about them names
    "image": ("digits", "mlp5"),
    "language": ("data-bin/ptb", "multi30k-lm"),
    "recurrent": ("data-bin/wmt14", "multi30k-words"),
}
TEXTS = "mine ptb wmt14 multi30k multi30k-lm multi30k-words".split()
SHORTER = {  # words of a command -> options that it is given in addition
    "sensitivity": "--batches 1 --targets 0.5,0.9",
    "export": "--batches 1",
    "attack": "--batch-size 4 --steps cw=2",
    "sipo stage": "--population 2 --generations 1",
}
LONG = "sweep", "imp", "bench"  # trainings, and processes for every runtime: their own tests run them in miniature


def kind_of(words):
    """Of the models that a command is about."""
    text = " ".join(words)
    return next((kind for kind, marks in KINDS.items() if any(mark in text for mark in marks)), "transformer")


def once(commands):
    """Those of `fairseq-prune` that do not train, each once: the same options with other files are the same."""
    kept = {}
    for name, *words in commands:
        if name == "fairseq-prune" and "--train" not in words and words[0] not in LONG:
            kept.setdefault((kind_of(words), *(word for word in words if "/" not in word and word != "1")), words)
    return list(kept.values())


class Miniature:
    """Such a folder.

    Args:
        folder: to fill; commands are run in it.
        texts: dict of kind -> folder of binarised text.
    """

    def __init__(self, folder, texts):
        self._folder, self._models, self._texts = folder / "reader", folder / "models", texts
        for name in TEXTS:
            data = self._folder / "data-bin" / name
            data.parent.mkdir(parents=True, exist_ok=True)
            data.symlink_to(texts[kind_of([str(data)])])
        os.chdir(self._folder)

    def run(self, words):
        """A command, shorter, once its checkpoints are where it looks for them; returns its message if it fails."""
        for file in filter(lambda file: not os.path.exists(file), files_read("fairseq-prune", words)):
            Path(file).parent.mkdir(parents=True, exist_ok=True)
            name = "dense" if "dense" in file or file == "ORIGINAL" else "masked"
            shutil.copy(self._model(kind_of(words), name), file)
        more = [word for marks, options in SHORTER.items() if {*marks.split()} <= {*words} for word in options.split()]
        try:
            main([*words, *more])
        except SystemExit as ended:
            return ended.code
        return None

    def _model(self, kind, name):
        path = self._models / kind / f"{name}.pt"
        if not path.exists():
            if name == "masked":
                main(["prune", str(self._model(kind, "dense")), str(path), "--target", "0.5"])
            else:
                TRAINED[kind](path.parent, self._texts.get(kind))
                (path.parent / "checkpoint_last.pt").rename(path)
        return path


def _images(folder, _):
    train_images(folder, "digits", *"--arch resnet8 --image-size 8 --max-update 2 --disable-validation".split())


def _text(task, arch, *more):
    return lambda folder, data: Run(folder, data, task, f"--arch {arch}").train("--max-update", "2", *more)


TINY = "transformer --share-all-embeddings --encoder-layers 1 --decoder-layers 1"
TINY += " --encoder-embed-dim 16 --decoder-embed-dim 16 --encoder-ffn-embed-dim 32 --decoder-ffn-embed-dim 32"
TRAINED = {
    "image": _images,
    "language": _text(
        "prune_stateful_language_modeling", "rnn_lm_tiny", "--batch-size", "4", "--batch-size-valid", "2"
    ),
    "recurrent": _text("prune_translation", "rnnsearch_tiny"),
    "transformer": _text("prune_translation", TINY, "--log-file", "run.log"),  # which a page draws
}
