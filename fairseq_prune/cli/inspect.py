"""Show the parameters, zeros, masks, cost and size of a checkpoint.

Reads the file alone: any architecture, any --user-dir, old and new fairseq checkpoints.

Fractions of --json, each in [0, 1]:
  total.fraction_removed           of ALL parameters, those exactly zero
  total.prunable_fraction_removed  the same of the prunable set: parameters of two or more axes,
                                   embeddings included; of weight-normalised pairs the direction
Weights that surgery cut away are not stored: they show in smaller params and macs.
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
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")


def run(args):
    """Print the report.

    Raises:
        ValueError: malformed ``--lengths``, or a file that is no fairseq checkpoint.
    """
    from ..compat import load_checkpoint
    from ..report.cost import parse_lengths
    from ..report.inspect import inspect_checkpoint
    from ..report.table import render

    lengths = parse_lengths(args.lengths)
    report = inspect_checkpoint(load_checkpoint(args.checkpoint), args.checkpoint, lengths)
    print(json.dumps(report) if args.json else render(report))
