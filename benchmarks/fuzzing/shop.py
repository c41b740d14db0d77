"""Small data, trained models and finished runs, which hostile input is drawn from and given to."""

import contextlib
import importlib
import io
import random
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import fairseq_prune
from fairseq_prune.cli.main import main

USER_DIR = str(Path(fairseq_prune.__file__).parent)
TINY = """--encoder-layers 1 --decoder-layers 1 --encoder-embed-dim 8 --decoder-embed-dim 8 --encoder-ffn-embed-dim 8
    --decoder-ffn-embed-dim 8 --encoder-attention-heads 2 --decoder-attention-heads 2 --share-all-embeddings"""
TRAINING = "--cpu --num-workers 0 --disable-validation --no-epoch-checkpoints --log-format simple"
TRANSLATION = f"""--task prune_translation --arch transformer {TINY} --criterion cross_entropy --optimizer adam
    --lr 0.01 --max-tokens 100 --max-update 2 {TRAINING}"""
LANGUAGE_MODEL = f"""--task prune_stateful_language_modeling --arch rnn_lm_tiny --criterion cross_entropy
    --optimizer sgd --lr 1 --batch-size 4 --batch-size-valid 2 --tokens-per-sample 7 --max-update 2 {TRAINING}"""
IMAGES = f"""--task prune_image_classification --arch lenet300 --image-size 8 --max-train-images 16 --batch-size 8
    --criterion image_classification --optimizer sgd --lr 0.05 --max-epoch 1 {TRAINING}"""
ROWS = "--prune-method magnitude --prune-scope layer --prune-target 0.5 --prune-units row --prune-skip *embed*,*attn*"


def run_fairseq(command, *words):
    """``fairseq-<command>`` in this process."""
    with mock.patch.object(sys, "argv", [f"fairseq-{command}", *map(str, words)]):
        importlib.import_module(f"fairseq_cli.{command}").cli_main()


def trains_here():
    """Drivers train in this process."""

    def run(command, **_):
        run_fairseq("train", *command[3:])
        return subprocess.CompletedProcess(command, 0)

    return mock.patch("fairseq_prune.drivers.training.subprocess", SimpleNamespace(run=run))


class Shop:
    """All of it, made in a folder.

    Attributes:
        parallel, words: folders of data; images are generated.
        translation, language_model, classifier: paths of checkpoints.
        sipo, imp: words of the commands whose folders, ``--save-dir``, hold finished runs.
        scratch: folder for what a case writes.
    """

    def __init__(self, folder):
        self.folder, self.scratch = Path(folder) / "good", Path(folder) / "scratch"
        self.scratch.mkdir(parents=True)
        self.parallel, self.words = self._data()
        self.translation = self._train("translation", self.parallel, TRANSLATION, ROWS)
        self.language_model = self._train("lm", self.words, LANGUAGE_MODEL)
        self.classifier = self._train("classifier", "synthetic", IMAGES, "--prune-method l1 --prune-target 0.5")
        self.sipo = ["sipo", str(self.words), "--checkpoint", self.language_model, *"--population 2".split(),
                     *"--generations 2 --max-drop 0.2 --save-dir".split(), str(self.folder / "sipo")]  # fmt: skip
        self.imp = ["imp", "synthetic", "--target", "0.2", "--save-dir", str(self.folder / "imp"), "--train",
                    *IMAGES.replace("--disable-validation --no-epoch-checkpoints", "").split()]  # fmt: skip
        with trains_here(), contextlib.redirect_stdout(io.StringIO()):
            main(self.sipo)
            main(self.imp)

    def _data(self):
        rng, text = random.Random(1), self.folder / "text"
        text.mkdir(parents=True)
        for split, count in (("train", 40), ("valid", 8), ("test", 8)):
            lines = [" ".join(rng.choices("abcdefgh", k=rng.randint(3, 8))) for _ in range(count)]
            for side in ("de", "en"):
                (text / f"{split}.{side}").write_text("\n".join(lines) + "\n")
        for name, words in (("parallel", "-s de -t en --joined-dictionary"), ("words", "--only-source")):
            files = [str(text / split) + (".de" if name == "words" else "") for split in ("train", "valid", "test")]
            options = ("--trainpref", files[0], "--validpref", files[1], "--testpref", files[2])
            run_fairseq("preprocess", *words.split(), *options, "--destdir", self.folder / name)
        return str(self.folder / "parallel"), str(self.folder / "words")

    def _train(self, name, data, *words):
        words = " ".join(words).split()
        run_fairseq("train", data, "--user-dir", USER_DIR, *words, "--save-dir", self.folder / name)
        return str(self.folder / name / "checkpoint_last.pt")
