"""fairseq-generate with an SRP architecture before and after the cut.

Weights and text are random, so hypotheses are meaningless; their length is fixed, so the work is that
of a trained model. Base and cut model take turns.
"""

import argparse
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from devices import add_device

FEW = 32  # sentences for batches of one
LENGTH = 25  # words a sentence, source and hypothesis
SIZES = {  # --arch, with its source and target vocabulary (words)
    "srp_iwslt_de_en": (8844, 6628),  # + 4 special symbols each: the dictionaries of IWSLT'14
    "srp_tiny": (1268, 1268),
}
KEEP_BUFFERS = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "100000000000"}  # as scripts/*.sh do
USER_DIR = str(Path(__file__).resolve().parent.parent / "fairseq_prune")


def call(command, *words, then=""):
    """Run ``fairseq-<command>`` and return what it printed; its error output ends the benchmark.

    Args:
        command: without ``fairseq-``.
        words: its arguments.
        then: Python that the same process runs at its end; it may import from this folder.
    """
    code = f"from fairseq_cli.{command} import cli_main; cli_main(); {then}"
    command = [sys.executable, "-c", code, *map(str, words)]
    path = os.pathsep.join([str(Path(__file__).resolve().parent), os.environ.get("PYTHONPATH", "")])
    env = {**os.environ, **KEEP_BUFFERS, "PYTHONPATH": path}
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    return done.stdout + done.stderr


def make_corpus(folder, vocabularies, sentences):
    """Binarise sentences of random words; every word of the vocabulary occurs in the training set."""
    rng = random.Random(1)
    for language, size in zip(("de", "en"), vocabularies, strict=True):
        words = [f"{language}{i}" for i in range(size)]
        for split, count in (("train", -(-size // LENGTH)), ("test", sentences), ("few", FEW)):
            drawn = iter(words if split == "train" else rng.choices(words, k=count * LENGTH))
            lines = [" ".join(word for _, word in zip(range(LENGTH), drawn, strict=False)) for _ in range(count)]
            lines += lines[:1] * (-(-max(vocabularies) // LENGTH) - count if split == "train" else 0)
            (folder / f"{split}.{language}").write_text("\n".join(lines) + "\n")
    call("preprocess", "--source-lang", "de", "--target-lang", "en", "--trainpref", folder / "train",
         "--validpref", folder / "test", "--testpref", f"{folder}/test,{folder}/few",
         "--destdir", folder / "bin")  # fmt: skip


def make_models(folder, arch, device):
    """Checkpoints with random weights: (base, cut to 20 % of its parameters)."""
    common = [folder / "bin", "--user-dir", USER_DIR, "--task", "srp_translation", "--arch", arch, *device.words,
              "--share-decoder-input-output-embed", "--optimizer", "srp_adam", "--criterion", "srp",
              "--max-tokens", "500", "--max-update", "1", "--disable-validation", "--num-workers", "0"]  # fmt: skip
    base, cut = folder / "base", folder / "cut"
    call("train", *common, "--save-dir", base)
    call("train", *common, "--save-dir", cut, "--pretrained-model", base / "checkpoint_last.pt",
         "--compression-rate", "0.2", "--srp-score-batches", "1")  # fmt: skip
    return base / "checkpoint_last.pt", cut / "checkpoint_last.pt"


def speed(folder, checkpoint, batch_size, device):
    """Sentences per second of ``fairseq-generate`` with beam 5, and the most memory that it took (MiB)."""
    report = f"import devices; print(devices.Device({device.torch.type!r}).memory())"
    log = call("generate", folder / "bin", "--user-dir", USER_DIR, "--task", "srp_translation", "--path", checkpoint,
               "--beam", "5", "--batch-size", batch_size, "--min-len", LENGTH, "--max-len-b", LENGTH,
               "--max-len-a", "0", *device.words, "--num-workers", "0",
               "--gen-subset", "test1" if batch_size == 1 else "test", "--required-batch-size-multiple", 1,
               then=report)  # fmt: skip
    memory = re.search(r"at most ([\d,]+) MiB", log)[1]
    return float(re.search(r"\(([\d.]+) sentences/s", log)[1]), int(memory.replace(",", ""))


def main():
    """Print the speeds of each architecture and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="runs of each model")
    parser.add_argument("--sentences", type=int, default=256)
    parser.add_argument("--batch-size", type=int, nargs="+", default=[128], help="SRP's own test command has 128")
    parser.add_argument("--arch", nargs="+", choices=SIZES, default=list(SIZES))
    add_device(parser)
    args = parser.parse_args()
    title = f"fairseq-generate, {args.device.name}, beam 5, {LENGTH} tokens"
    print(f"| {title} | batch | base sentences/s | cut to 20 % | ratio | base MiB | cut to 20 % |")
    print("|---|---|---|---|---|---|---|")
    for arch in args.arch:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            make_corpus(folder, SIZES[arch], args.sentences)
            models = make_models(folder, arch, args.device)
            for size in args.batch_size:
                rounds = [[speed(folder, model, size, args.device) for model in models] for _ in range(args.rounds)]
                speeds = [[fast for fast, _ in both] for both in rounds]
                base, cut = (statistics.median(column) for column in zip(*speeds, strict=True))
                ratio = statistics.median(after / before for before, after in speeds)
                most = " | ".join(f"{max(mib for _, mib in column):,}" for column in zip(*rounds, strict=True))
                print(f"| {arch} | {size:,} | {base:.2f} | {cut:.2f} | {ratio:.2f} | {most} |", flush=True)


if __name__ == "__main__":
    main()
