"""Training a recurrent language model: ours in its stateful task against fairseq's lstm_lm.

The same widths, dropout, vocabulary and tokens in a batch, in turns in one process, so that whatever
else the machine does hits both.
"""

import argparse
import logging
import random
import statistics
import tempfile
from pathlib import Path

from devices import Device
from fairseq import options
from fairseq_cli import preprocess
from trainers import build_trainer, median_ratio, step_times

import fairseq_prune

fairseq_prune.register()

WORDS, COLUMNS, ROWS = 10_000, 20, 35
TRAINING = f"""--batch-size {COLUMNS} --tokens-per-sample {ROWS} --dropout 0.2 --optimizer sgd --lr 1 --clip-norm 0.25
    --criterion cross_entropy --cpu --num-workers 0"""
SIZES = "--decoder-embed-dim 200 --decoder-hidden-size 200 --decoder-layers 2"
STOCK = f"""--task language_modeling --sample-break-mode none --required-batch-size-multiple 1
    --arch lstm_lm {SIZES} --decoder-out-embed-dim 200"""
OURS = f"--task prune_stateful_language_modeling --arch rnn_lm {SIZES}"


def write_corpus(folder, updates):
    """Binarise random text of ``updates`` batches in which every word occurs."""
    rng = random.Random(1)
    words = [f"w{i}" for i in range(WORDS)]
    text = rng.sample(words, WORDS) + rng.choices(words, k=COLUMNS * ROWS * updates)
    lines = (text[at : at + 20] for at in range(0, len(text), 20))
    (folder / "text").write_text("".join(" ".join(line) + "\n" for line in lines))
    parser = options.get_preprocessing_parser()
    argv = ["--only-source", "--trainpref", folder / "text", "--destdir", folder, "--padding-factor", 1]
    preprocess.main(parser.parse_args([*map(str, argv)]))


def measure(data, rounds):
    """Seconds of each training step, dict of architecture -> list of ``rounds`` floats."""
    built = {}
    for name, words in {"lstm_lm": STOCK, "rnn_lm": OURS}.items():
        trainer, batches = build_trainer([data, *words.split(), *TRAINING.split()])
        built[name] = trainer, [sample for sample in batches if sample["ntokens"] == COLUMNS * ROWS]
    return step_times(built, rounds, Device("cpu"))


def main():
    """Print median tokens/s of both and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40, help="steps of each contender")
    rounds = parser.parse_args().rounds
    logging.disable(logging.INFO)
    with tempfile.TemporaryDirectory() as folder:
        write_corpus(Path(folder), rounds)
        times = measure(folder, rounds)
    print(f"| training, LSTM 2 x 200, {WORDS:,} words, CPU | tokens/s | ratio to lstm_lm |\n|---|---|---|")
    for name, mine in times.items():
        ratio = median_ratio(times["lstm_lm"], mine)
        print(f"| {name} | {COLUMNS * ROWS / statistics.median(mine):,.0f} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
