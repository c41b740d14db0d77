"""OUT, the file that a command writes."""

import argparse
import os

from ..files.folder import require_writable
from ..needs import OptionParser


def add_out(parser: OptionParser) -> None:
    """Add OUT, and what goes for all commands that write it."""
    parser.add_argument("out", metavar="OUT", help="the file to write")
    parser.add_argument("--overwrite", action="store_true", help="replace OUT if it exists")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")


def require_new(args: argparse.Namespace, source: str, example: str) -> None:
    """Refuse an OUT that would destroy something.

    Args:
        args: with ``out``, ``overwrite`` and the file that it is made of.
        source: name of that, or of those, in ``args``.
        example: of another name.

    Raises:
        ValueError: OUT is the source, a folder, or exists and --overwrite was not given.
        OSError: it could not be written.
    """
    given = getattr(args, source)
    sources = [given] if isinstance(given, str) else given
    if os.path.realpath(args.out) in map(os.path.realpath, sources):
        raise ValueError(f"OUT {args.out}: is {source.upper()} itself; give another name, e.g. {example}")
    if os.path.exists(args.out) and not args.overwrite:
        raise ValueError(f"OUT {args.out}: exists; give another name or --overwrite")
    if os.path.isdir(args.out):
        raise ValueError(f"OUT {args.out}: is a folder; give another name, e.g. {example}")
    require_writable(os.path.dirname(args.out) or os.curdir)
