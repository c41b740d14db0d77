#!/usr/bin/env python3
"""Writes the generated German-English corpus as train/valid/test text, ready for scripts/prepare.sh."""

import argparse

from corpus.grammar import write_corpus


def main():
    """Reads the command line and writes the corpus; a bad argument ends it in one line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", metavar="OUT", help="folder to write train, valid and test .de and .en to")
    parser.add_argument("--pairs", type=int, default=15000, help="training pairs (default: %(default)s)")
    parser.add_argument("--held-out", type=int, default=500, help="pairs of valid and of test (default: 500)")
    parser.add_argument("--seed", type=int, default=1, help="default: %(default)s")
    args = parser.parse_args()
    try:
        write_corpus(args.out, (args.pairs, args.held_out, args.held_out), args.seed)
    except (ValueError, OSError) as error:
        raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main()
