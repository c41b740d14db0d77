"""Argument types that several commands share."""

import argparse

LARGEST_SEED = 2**32 - 1  # of numpy and fairseq


def seed(text: str) -> int:
    """A whole number that numpy, torch and fairseq take as a seed.

    Raises:
        argparse.ArgumentTypeError: anything else.
    """
    if not text.isdecimal() or len(text) > 10 or int(text) > LARGEST_SEED:
        raise argparse.ArgumentTypeError(f"{text[:30]!r}: give a whole number in [0, {LARGEST_SEED}], e.g. --seed 1")
    return int(text)
