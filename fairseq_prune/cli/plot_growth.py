"""Draw the L1 norms of units that are kept and that are removed while a penalty grows.

Methods greg1 and greg2 write the mean over the units of each layer into growth.jsonl next to the checkpoints, at every
tenth change of the penalty. Until greg2 has picked units to remove, the currently smallest ones are shown as removed.
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
