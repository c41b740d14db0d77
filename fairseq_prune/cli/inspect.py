"""Show the parameters, zeros, masks, cost and size of a checkpoint.

Reads the file alone: any architecture, any --user-dir, old and new fairseq checkpoints.

Fractions of --json, each in [0, 1]:
  total.fraction_removed           of ALL parameters, those exactly zero
  total.prunable_fraction_removed  the same of the prunable set: parameters of two or more axes,
                                   embeddings included; of weight-normalised pairs the direction
MACs are exact products of one sentence, decoded with cached keys and values; --legacy-flops adds the formula
of the original SRP, for comparison with its numbers, at the source length of --lengths.
Weights that surgery cut away are not stored: they show in smaller params and macs.

--data evaluates the model: parameters, zeros, accuracy and perplexity of teacher-forced predictions on valid
and test, and for translation BLEU; --original adds a second checkpoint beside it.
"""

import json


def add_arguments(parser):
    """Add the options of ``fairseq-prune inspect``."""
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="a file that fairseq-train saved")
    parser.add_argument(
        "--lengths",
        default="25,25",
        metavar="S,T",
        help="source and target tokens for which to count MACs (default: %(default)s)",
    )
    parser.add_argument(
        "--legacy-flops", action="store_true", help="add FLOPs by SRP's own formula, S tokens on both sides"
    )
    parser.add_argument("--data", help="evaluate on this folder of fairseq-preprocess")
    parser.add_argument("--original", metavar="CHECKPOINT", help="with --data: evaluate this one too, side by side")
    parser.add_argument("--reference", action="store_true", help="with --data: normalise as SiPO's original did")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")


def run(args):
    """Print the report.

    Raises:
        ValueError: malformed ``--lengths``, a file that is no fairseq checkpoint, or ``--legacy-flops``
            for a model that is no encoder-decoder Transformer, or data that do not fit the checkpoint.
    """
    if args.data:
        _evaluate(args)
        return
    if args.original or args.reference:
        raise ValueError("--original and --reference need --data, e.g. --data data-bin/ptb")
    from ..compat import load_checkpoint
    from ..report.cost import parse_lengths
    from ..report.inspect import inspect_checkpoint
    from ..report.table import render

    lengths = parse_lengths(args.lengths)
    report = inspect_checkpoint(load_checkpoint(args.checkpoint), args.checkpoint, lengths, args.legacy_flops)
    print(json.dumps(report) if args.json else render(report))


def _evaluate(args):
    from ..compat import load_checkpoint
    from ..drivers.evaluation.quality import inspect_quality, render_quality

    paths = {"original": args.original, "pruned": args.checkpoint} if args.original else {"model": args.checkpoint}
    columns = {
        name: inspect_quality(path, load_checkpoint(path), args.data, args.reference) for name, path in paths.items()
    }
    print(json.dumps(columns) if args.json else render_quality(columns))
