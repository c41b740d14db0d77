"""Cut out of a model what computes nothing, and check that it computes the same.

In a Transformer, units are cut whose connectivity is 0 (SRP architectures), and feed-forward neurons,
value and query/key dimensions whose weights are zeros; constants that they pass on are added to the next bias.
Attention dimensions are cut in equal numbers from every head, and make a stock encoder-decoder
Transformer one of the architecture srp_transformer. In an image classifier, channels are cut whose
filters, biases, norm scales and shifts are all zeros, or that no layer reads. One unit stays where all
are dead; masks and zeros that are not whole units stay as they are.

OUT has no optimizer state: use it with fairseq-generate or fairseq-validate, or continue training with
--finetune-from-model and the options of the architecture; both need --user-dir and a pruning task, e.g.
--task prune_translation. The output in eval mode stays the same: both models run over batches of the
validation split in float64, and OUT is written only if no output differs by more than 1e-6 of the
largest.
"""

import argparse

from ..files.json_file import to_json
from ..needs import OptionParser
from ._out import add_out, require_new
from ._quiet import quietly
from ._user_dir import add_user_dir


def add_arguments(parser: OptionParser) -> None:
    """Add the options of ``fairseq-prune compact``."""
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="a file that fairseq-train saved")
    add_out(parser)
    parser.add_argument("--data", metavar="DATA", help="data to compare outputs on; default: the training's")
    parser.add_argument(
        "--batches",
        type=int,
        default=4,
        metavar="N",
        help="batches of 4 sentences or images to compare (default: %(default)s)",
    )
    add_user_dir(parser)


def run(args: argparse.Namespace) -> None:
    """Write OUT and print what has changed.

    Raises:
        ValueError: CHECKPOINT is unreadable or has nothing to cut, OUT exists, there is no data to compare
            on, or the outputs differ.
    """
    _check(args)
    from ..deploy.compact_checkpoint import compact_checkpoint
    from ..deploy.compactors import kind_names

    with quietly():
        report = compact_checkpoint(args.checkpoint, args.out, args.data, args.batches)
    print(to_json(report) if args.json else _render(report, kind_names()))


def _check(args):
    if args.batches < 1:
        raise ValueError(f"--batches {args.batches}: give at least 1, e.g. --batches 4")
    require_new(args, "checkpoint", "checkpoints/compact.pt")


def _render(report, kinds):
    lines = [f"{'':<12}{'before':>16}{'after':>16}{'ratio':>8}"]
    for key, label in (("params", "parameters"), ("macs", "MACs"), ("bytes", "file bytes")):
        before, after = report["before"][key], report["after"][key]
        if before is not None:
            lines.append(f"{label:<12}{before:>16,}{after:>16,}{after / before:>8.3f}")
    lines.append("removed     " + ", ".join(f"{count:,} {kinds[kind]}" for kind, count in report["removed"].items()))
    lines.append(f"architecture {report['arch']}, task {report['task']}; no optimizer state")
    lines.append(f"outputs of {report['batches']} batches differ by at most {report['difference']:.1e} of the largest")
    return "\n".join(lines)
