"""List the methods of --prune-method, or describe one: its source, its answers and its options.

Options of a method that are not given have the values shown here; --prune-units, --prune-scope and the other
general options replace the method's own answers.
"""

import argparse

from ..files.json_file import to_json
from ..needs import OptionParser
from ._quiet import quietly
from ._user_dir import add_user_dir


def add_arguments(parser: OptionParser) -> None:
    """Add the options of ``fairseq-prune methods``."""
    parser.add_argument("name", metavar="NAME", nargs="?", help="describe this method, e.g. greg1")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    add_user_dir(parser)


def run(args: argparse.Namespace) -> None:
    """Print what the table of methods says.

    Raises:
        ValueError: there is no such method.
    """
    with quietly():
        from ..report.methods import describe_method, list_methods, render_method, render_methods

        report, show = (describe_method(args.name), render_method) if args.name else (list_methods(), render_methods)
    print(to_json(report) if args.json else show(report))
