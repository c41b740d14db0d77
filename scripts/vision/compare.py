#!/usr/bin/env python3
"""Prints one table of accuracy and size of image classifiers: a row for each NAME=LOG:CHECKPOINT.

LOG is what `fairseq-validate --valid-subset test --log-format json` printed, or fairseq-train with `--valid-subset
valid,test`; its last accuracy counts. Parameters are all that train, norms included; "M MACs" are 10^6
multiply-accumulates of one image. --speed adds "ms": the processor time of an image in a batch of 64, on one CPU
thread, medians of passes that the models make in turns. Rows whose NAMEs differ in a number at the end, as run-1 and
run-2, are seeds of one run: means and standard deviations of their accuracy follow the table.
"""

import argparse
import logging
import re
import statistics
import time

HEADER, SPEED = ("", "top-1 %", "parameters", "M MACs"), "ms"
BATCH, ROUNDS, WARM_UP = 64, 50, 3


def read_accuracy(path):
    """The last top-1 on the test set, in percent (float), that a log has.

    Raises:
        ValueError: it has none.
    """
    with open(path, encoding="utf-8") as file:
        found = re.findall(r'"test_top1": "([\d.]+)"', file.read())
    if not found:
        raise ValueError(f"{path}: no test_top1; log with --valid-subset test --log-format json")
    return float(found[-1])


def load(checkpoint):
    """The model of a checkpoint."""
    from fairseq_prune.checkpoint.load import load_model, load_task

    task, _ = load_task(checkpoint)
    return load_model(checkpoint, task)


def describe(name, log, model):
    """Measures one run: one cell for each column of HEADER."""
    from vision_bridge.cost import count_parameters, layer_costs

    macs = sum(cost.macs for cost in layer_costs(model.net, model.example()))
    return [name, f"{read_accuracy(log):.2f}", f"{count_parameters(model):,}", f"{macs / 1e6:.3f}"]


def speeds(models):
    """Median milliseconds that an image takes each model, in eval mode (list of float)."""
    import torch

    torch.set_num_threads(1)
    times = [[] for _ in models]
    with torch.no_grad():
        for step in range(ROUNDS + WARM_UP):
            for model, mine in zip(models, times, strict=True):
                images = model.example()[:1].expand(BATCH, -1, -1, -1).contiguous()
                start = time.thread_time()
                model.eval()(images)
                if step >= WARM_UP:
                    mine.append(1e3 * (time.thread_time() - start) / BATCH)
    return [statistics.median(mine) for mine in times]


def main():
    """Reads the command line and prints the table; a bad argument ends it in one line."""
    from fairseq_prune.report.layout import align, over_seeds

    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("runs", nargs="+", metavar="NAME=LOG:CHECKPOINT")
    parser.add_argument("--speed", action="store_true", help="time an image, too")
    args = parser.parse_args()
    logging.disable(logging.INFO)  # fairseq tells of what it reads
    try:
        runs = [re.fullmatch(r"([^=]+)=(.+):([^:]+)", run).groups() for run in args.runs]
        models = [load(checkpoint) for *_, checkpoint in runs]
        rows = [[*HEADER], *(describe(name, log, model) for (name, log, _), model in zip(runs, models, strict=True))]
        if args.speed:
            for row, cell in zip(rows, [SPEED, *(f"{ms:.3f}" for ms in speeds(models))], strict=True):
                row.append(cell)
        accuracies = [(name, float(accuracy)) for name, accuracy, *_ in rows[1:]]
        print("\n".join([*align(rows), *over_seeds(accuracies, "{} %")]))
    except (ValueError, OSError, AttributeError) as error:
        raise SystemExit(f"{error}; a run reads NAME=LOG:CHECKPOINT") from error


if __name__ == "__main__":
    main()
