"""Show the parameters, zeros, masks, cost and size of a checkpoint.

Needs only the file: any architecture, any --user-dir, old and new fairseq checkpoints. Image classifiers
of prune_image_classification are also built, and shown layer by layer.

Fractions of --json, each in [0, 1]:
  total.fraction_removed           of ALL parameters, those exactly zero
  total.prunable_fraction_removed  the same of the prunable set: parameters of two or more axes,
                                   embeddings included; of weight-normalised pairs the direction
  total.conv_fraction_removed      image classifiers: of the weights of convolutions
  total.overall_fraction_removed   image classifiers: of all parameters but biases
  total.params_removed             of the parameters that the pruning run began with, those zero or removed
  total.nodes_removed              image classifiers: the same of channels and neurons that can be removed
MACs are exact products of one sentence, decoded with cached keys and values, or of one image of the trained
size; --legacy-flops adds the formula of the original SRP, for comparison with its numbers, at the source
length of --lengths. Weights that were cut out are not stored: they show in smaller params and macs.

--original compares it with a second checkpoint: speedup (ratio of MACs), compression (of parameters), and how
much of the original is zero or removed. --data evaluates instead: parameters, zeros, and on valid and test
accuracy and perplexity of teacher-forced predictions, for translation BLEU, of images what the training's
criterion shows (loss in bits, top1 and top5 in %).
"""

import argparse

from ..files.json_file import to_json
from ..needs import Need, OptionParser
from ._quiet import quietly
from ._user_dir import add_user_dir

_DATA = Need(lambda args: args.data, "--data data-bin/ptb")
_COUNTED = Need(lambda args: not args.data, "no --data, which evaluates instead")


def add_arguments(parser: OptionParser) -> None:
    """Add the options of ``fairseq-prune inspect``."""
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="a file that fairseq-train saved")
    parser.add_argument(
        "--lengths",
        default="25,25",
        metavar="S,T",
        needs=_COUNTED,
        help="source and target tokens for which to count MACs (default: %(default)s)",
    )
    parser.add_argument(
        "--legacy-flops",
        action="store_true",
        needs=_COUNTED,
        help="add FLOPs by SRP's own formula, S tokens on both sides",
    )
    parser.add_argument("--data", help="evaluate on this folder of fairseq-preprocess, or these images")
    parser.add_argument("--original", metavar="CHECKPOINT", help="compare with this checkpoint, side by side")
    parser.add_argument(
        "--reference", action="store_true", needs=_DATA, help="with --data: normalise as SiPO's original did"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    add_user_dir(parser)


def run(args: argparse.Namespace) -> None:
    """Print the report.

    Raises:
        ValueError: malformed ``--lengths``, a file that is no fairseq checkpoint, or ``--legacy-flops``
            for a model that is no encoder-decoder Transformer, or data that do not fit the checkpoint.
    """
    with quietly():
        report, show = _evaluate(args) if args.data else _describe(args)
    print(to_json(report) if args.json else show(report))


def _describe(args):
    from ..report.compare import compare, render_comparison
    from ..report.layers import render_layers
    from ..report.table import render

    report = _report(args, args.checkpoint)
    if args.original:
        return compare(_report(args, args.original), report), render_comparison
    return report, render_layers if "layers" in report else render


def _report(args, path):
    from ..evaluate.describe import describe_checkpoint
    from ..report.cost import parse_lengths

    return describe_checkpoint(path, parse_lengths(args.lengths), args.legacy_flops)


def _evaluate(args):
    from ..compat import load_checkpoint
    from ..evaluate.quality import inspect_quality, render_quality

    paths = {"original": args.original, "pruned": args.checkpoint} if args.original else {"model": args.checkpoint}
    columns = {
        name: inspect_quality(path, load_checkpoint(path), args.data, args.reference) for name, path in paths.items()
    }
    return columns, render_quality
