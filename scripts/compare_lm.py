#!/usr/bin/env python3
"""Prints one table of language models: perplexity, size and speed; a row for each NAME=CHECKPOINT.

"tokens/s" is the evaluation of the validation split, output layer included: models take turns, --rounds times, and
each one's fastest counts; "x" is that of the first row. "removed" is the fraction of the prunable weights (two or more
axes, embeddings included) that are zero. "M MACs" are 10^6 multiply-accumulates a token. Rows whose NAMEs differ in a
number at the end, as run-1 and run-2, are seeds of one run: means and standard deviations of test perplexities follow
the table.
"""

import argparse
import time

HEADER = ("", "valid ppl", "test ppl", "parameters", "removed", "M MACs", "tokens/s", "x")


def describe(path, bench):
    """What is known of one checkpoint before any time is taken.

    Args:
        path: of the checkpoint.
        bench: its :class:`~fairseq_prune.evaluate.load.Workbench`.

    Returns:
        (list of five cells, the validation split's evaluator).
    """
    from fairseq_prune.compat import load_checkpoint
    from fairseq_prune.report.inspect import inspect_checkpoint

    total = inspect_checkpoint(load_checkpoint(path), path, (1, 1))["total"]
    model = bench.model(path)
    valid, test = (bench.evaluator(model, split) for split in ("valid", "test"))
    perplexities = [f"{evaluator.measure().perplexity:.2f}" for evaluator in (valid, test)]
    removed = total["prunable_fraction_removed"]
    return [*perplexities, f"{total['params']:,}", f"{removed:.2%}", f"{total['macs'] / 1e6:.3f}"], valid


def speeds(evaluators, rounds):
    """Tokens a second of each evaluator, list of float: the fastest of so many rounds, in turns."""
    fastest = [0.0] * len(evaluators)
    for _ in range(rounds):
        for number, evaluator in enumerate(evaluators):
            start = time.perf_counter()
            targets = evaluator.measure().targets
            fastest[number] = max(fastest[number], targets / (time.perf_counter() - start))
    return fastest


def main():
    """Reads the command line and prints the table; a bad argument ends it in one line."""
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("runs", nargs="+", metavar="NAME=CHECKPOINT")
    parser.add_argument("--data", help="folder of fairseq-preprocess; that of each checkpoint by default")
    parser.add_argument("--rounds", type=int, default=5, help="how often each speed is taken (default: %(default)s)")
    args = parser.parse_args()
    names, _, paths = zip(*(run.partition("=") for run in args.runs), strict=True)
    try:
        if not all(paths):
            raise ValueError(f"{' '.join(args.runs)}: each should read NAME=CHECKPOINT, e.g. dense=run/best.pt")
        from fairseq_prune.evaluate.load import Workbench
        from fairseq_prune.report.layout import align, over_seeds

        cells, evaluators = zip(*(describe(path, Workbench(path, args.data)) for path in paths), strict=True)
        rates = speeds(evaluators, args.rounds)
    except (ValueError, OSError) as error:
        raise SystemExit(str(error)) from error
    told = [[f"{rate:,.0f}", f"{rate / rates[0]:.2f}"] for rate in rates]
    rows = [[name, *cell, *speed] for name, cell, speed in zip(names, cells, told, strict=True)]
    perplexities = [(name, float(test)) for name, (_, test, *_) in zip(names, cells, strict=True)]
    print("\n".join([*align([HEADER, *rows]), *over_seeds(perplexities, "test ppl {}")]))


if __name__ == "__main__":
    main()
