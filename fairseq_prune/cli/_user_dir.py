"""``--user-dir`` for commands that read a checkpoint or a table: the user's own methods, tasks and models."""

import argparse

from ..needs import OptionParser
from ._quiet import quietly


def add_user_dir(parser: OptionParser) -> None:
    """Add the option."""
    text = "folder that adds to what comes along, as fairseq-train was given it"
    parser.add_argument("--user-dir", metavar="FOLDER", help=text)


def import_user_dir(args: argparse.Namespace) -> None:
    """Import the folder, if one was given.

    Raises:
        ValueError: there is none, or it cannot be imported.
    """
    if getattr(args, "user_dir", None):
        from ..checkpoint.user_dir import import_user_dir

        with quietly():
            import_user_dir(args.user_dir)
