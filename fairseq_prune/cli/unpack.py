"""Undo pack: write the ordinary checkpoint again, which tools other than this package read too.

Weights that --half rounded stay rounded, in fp32; what pack left out is not restored.
"""

import argparse
import os

from ..files.json_file import to_json
from ..needs import OptionParser
from ._out import add_out, require_new
from ._quiet import quietly


def add_arguments(parser: OptionParser) -> None:
    """Add the options of ``fairseq-prune unpack``."""
    parser.add_argument("packed", metavar="PACKED", help="a file of `pack`, or of a training with --prune-pack")
    add_out(parser)


def run(args: argparse.Namespace) -> None:
    """Write OUT and print its size.

    Raises:
        ValueError: PACKED is unreadable or not packed, or OUT exists.
    """
    require_new(args, "packed", "checkpoints/unpacked.pt")
    from ..deploy.pack import unpack_file

    with quietly():
        unpack_file(args.packed, args.out)
    sizes = {"before": os.path.getsize(args.packed), "after": os.path.getsize(args.out)}
    print(to_json(sizes) if args.json else "PACKED {before:>14,} bytes\nOUT    {after:>14,} bytes".format(**sizes))
