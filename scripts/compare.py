#!/usr/bin/env python3
"""Prints one table of translation quality, size and speed: a row for each NAME=LOG:CHECKPOINT.

LOG is what `fairseq-generate --remove-bpe` printed (scripts/evaluate.sh keeps it), CHECKPOINT the file that
translated; or LOG is that of scripts/evaluate_ctranslate2.py, CHECKPOINT what was exported, and "file bytes" are the
exported model's. "removed" is the fraction of the prunable weights (two or more axes, embeddings included) that are
zero; "G MACs" are 10^9 multiply-accumulates of one sentence pair of --lengths; "sent./s" is
fairseq-generate's own measure, where LOG has it. Rows whose NAMEs differ in a number at the end, as run-1 and
run-2, are seeds of one run: mean and standard deviation of their BLEU follow the table.
"""

import argparse
import re

HEADER = ("", "BLEU", "parameters", "non-zero", "removed", "G MACs", "sent./s", "file bytes")
HYPOTHESIS, REFERENCE = re.compile(r"^D-(\d+)\t[^\t]*\t(.*)$"), re.compile(r"^T-(\d+)\t(.*)$")
MODEL = re.compile(r"^Model of (\d+) bytes$", re.MULTILINE)
SPEED = re.compile(r"^[^\t\n]*Translated [^\t\n]*\(([\d.]+) sentences/s", re.MULTILINE)


def read_generate_log(path):
    """Collects translations and references.

    Args:
        path: log of ``fairseq-generate --remove-bpe``.

    Returns:
        (hypotheses, references): two lists of str in the corpus's order.

    Raises:
        ValueError: a translation or a reference is missing.
    """
    hypotheses, references = {}, {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            for pattern, found in ((HYPOTHESIS, hypotheses), (REFERENCE, references)):
                match = pattern.match(line.rstrip("\n"))
                if match:
                    found[int(match[1])] = match[2]
    if not references or hypotheses.keys() != references.keys():
        raise ValueError(
            f"{path}: {len(hypotheses)} translations of {len(references)} references; "
            "give the whole output of fairseq-generate --remove-bpe"
        )
    order = sorted(references)
    return [hypotheses[i] for i in order], [references[i] for i in order]


def read_speed(path):
    """The sentences per second of a log of ``fairseq-generate`` (str), "-" if it does not say."""
    with open(path, encoding="utf-8") as file:
        found = SPEED.search(file.read())
    return found[1] if found else "-"


def read_size(path):
    """The bytes of the exported model that a log of scripts/evaluate_ctranslate2.py is of; None for other logs."""
    with open(path, encoding="utf-8") as file:
        found = MODEL.search(file.read())
    return int(found[1]) if found else None


def describe(name, log, checkpoint, lengths):
    """Measures one run.

    Args:
        name: what to call it.
        log: see :func:`read_generate_log`.
        checkpoint: path of its checkpoint.
        lengths: (source tokens, target tokens) for the MACs.

    Returns:
        One cell for each column of HEADER (tuple of str).

    Raises:
        ValueError: the log is incomplete or the checkpoint unreadable.
    """
    import sacrebleu

    from fairseq_prune.compat import load_checkpoint
    from fairseq_prune.report.inspect import inspect_checkpoint

    hypotheses, references = read_generate_log(log)
    state = load_checkpoint(checkpoint)
    total = inspect_checkpoint(state, checkpoint, lengths)["total"]
    bleu = sacrebleu.corpus_bleu(hypotheses, [references], tokenize="none", force=True).score
    return (
        name,
        f"{bleu:.2f}",
        f"{total['params']:,}",
        f"{total['nonzero']:,}",
        f"{total['prunable_fraction_removed']:.2%}",
        "-" if total["macs"] is None else f"{total['macs'] / 1e9:.4f}",
        read_speed(log),
        f"{read_size(log) or total['bytes']:,}",
    )


def parse_run(text):
    """Splits NAME=LOG:CHECKPOINT (tuple of three str)."""
    name, _, rest = text.partition("=")
    log, _, checkpoint = rest.rpartition(":")
    if not (name and log and checkpoint):
        raise ValueError(f"{text!r} should read NAME=LOG:CHECKPOINT, e.g. dense=run/test.log:run/best.pt")
    return name, log, checkpoint


def main():
    """Reads the command line and prints the table; a bad argument ends it in one line."""
    from fairseq_prune.report.cost import parse_lengths
    from fairseq_prune.report.layout import align, over_seeds

    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("runs", nargs="+", metavar="NAME=LOG:CHECKPOINT")
    parser.add_argument("--lengths", default="25,25", metavar="S,T", help="tokens of the pair (default: %(default)s)")
    args = parser.parse_args()
    try:
        lengths = parse_lengths(args.lengths)
        rows = [describe(*parse_run(run), lengths) for run in args.runs]
        bleu = [(name, float(score)) for name, score, *_ in rows]
        print("\n".join([*align([HEADER, *rows]), *over_seeds(bleu, "{} BLEU")]))
    except (ValueError, OSError) as error:
        raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main()
