"""Draw the L1 norms of units that are kept and that are removed while a penalty grows.

Methods greg1 and greg2 write them into growth.jsonl beside the checkpoints, at every tenth change of the penalty: the
mean over the units of each layer. Until greg2 has picked, those that are removed are the smallest of the moment.
"""

import argparse

from ..needs import OptionParser


def add_arguments(parser: OptionParser) -> None:
    """Add the options of ``fairseq-prune plot-growth``."""
    parser.add_argument("save_dir", metavar="SAVE_DIR", help="--save-dir of the run")
    parser.add_argument("out", metavar="OUT", help="the PNG to write")


def run(args: argparse.Namespace) -> None:
    """Write OUT.

    Raises:
        ValueError: the run has no such file, OUT cannot be written, or Matplotlib is missing.
    """
    from ..report.growth import draw_growth, read_growth

    draw_growth(read_growth(args.save_dir), args.out)
