"""Average checkpoints of one run, as fairseq's average_checkpoints.py: what they have removed stays removed.

OUT has the settings and masks of the first checkpoint and no optimizer state: fairseq-generate and all commands
here can read it, and training can continue with --finetune-from-model. Checkpoints with different masks or cuts
are refused: their mean would bring weights back, or add up units that are not the same.
"""

import argparse

from ..files.json_file import to_json
from ..needs import OptionParser
from ._out import add_out, require_new
from ._quiet import quietly


def add_arguments(parser: OptionParser) -> None:
    """Add the options of ``fairseq-prune average``."""
    parser.add_argument("checkpoint", metavar="CHECKPOINT", nargs="+", help="files that fairseq-train saved")
    add_out(parser)


def run(args: argparse.Namespace) -> None:
    """Write OUT and print what it holds.

    Raises:
        ValueError: a CHECKPOINT is unreadable, they do not fit each other, or OUT exists.
    """
    if len(args.checkpoint) < 2:
        raise ValueError(f"CHECKPOINT {args.checkpoint[0]}: give two or more to average, and then OUT")
    require_new(args, "checkpoint", "checkpoints/average.pt")
    from ..deploy.average import average_files

    with quietly():
        report = average_files(args.checkpoint, args.out)
    text = "{checkpoints} checkpoints, {tensors:,} tensors, {removed:,} weights removed; wrote {out}"
    print(to_json(report) if args.json else text.format(**report, out=args.out))
