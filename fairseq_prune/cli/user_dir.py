"""Print what to give fairseq as --user-dir, from any folder."""

import argparse
from pathlib import Path

from ..needs import OptionParser


def add_arguments(parser: OptionParser) -> None:
    """``fairseq-prune user-dir`` has no options."""


def run(args: argparse.Namespace) -> None:
    """Print the folder of the package."""
    print(Path(__file__).resolve().parents[1])
