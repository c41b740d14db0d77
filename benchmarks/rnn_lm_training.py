"""Training a recurrent language model: ours in its stateful task against fairseq's lstm_lm.

The same widths, dropout, vocabulary and tokens in a batch, in turns in one process, so that whatever
else the machine does hits both.
"""

import argparse
import logging
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch
from fairseq import options, tasks
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from fairseq.trainer import Trainer
from fairseq_cli import preprocess

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


def build_trainer(data, words):
    """A fairseq trainer as fairseq-train builds it.

    Args:
        data: binarised corpus.
        words: task, architecture and sizes.

    Returns:
        ``(trainer, batches)``; batches is a list of samples of :data:`COLUMNS` x :data:`ROWS` tokens.
    """
    argv = [str(data), *words.split(), *TRAINING.split()]
    sys.argv = ["fairseq-train", *argv]  # fairseq looks there for --user-dir
    cfg = convert_namespace_to_omegaconf(options.parse_args_and_arch(options.get_training_parser(), argv))
    task = tasks.setup_task(cfg.task)
    torch.manual_seed(1)
    trainer = Trainer(cfg, task, task.build_model(cfg.model), task.build_criterion(cfg.criterion))
    batches = list(trainer.get_train_iterator(1).next_epoch_itr(shuffle=False))
    return trainer, [sample for sample in batches if sample["ntokens"] == COLUMNS * ROWS]


def measure(data, rounds):
    """Seconds of each training step.

    Returns:
        dict of architecture -> list of ``rounds`` seconds; those at one place were taken in turn.
    """
    built = {"lstm_lm": build_trainer(data, STOCK), "rnn_lm": build_trainer(data, OURS)}
    times = {name: [] for name in built}
    for step in range(rounds + 3):
        for name, (trainer, batches) in built.items():
            start = time.perf_counter()
            trainer.train_step([batches[step % len(batches)]])
            if step >= 3:  # the first steps build the optimizer and warm up
                times[name].append(time.perf_counter() - start)
    return times


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
        ratio = statistics.median(base / own for own, base in zip(mine, times["lstm_lm"], strict=True))
        print(f"| {name} | {COLUMNS * ROWS / statistics.median(mine):,.0f} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
