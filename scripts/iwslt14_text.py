#!/usr/bin/env python3
"""Cleans the unpacked IWSLT'14 archive: markup off, tokenised, lower-cased and split."""

import argparse
import re
from functools import partial
from pathlib import Path

from fairseq_prune.files import atomic

LANGUAGES = ("de", "en")
TESTS = ("TED.dev2010", "TEDX.dev2012", "TED.tst2010", "TED.tst2011", "TED.tst2012")
LONGEST, RATIO = 175, 1.5  # tokens a side, and of the longer side to the shorter
VALID_EVERY = 23
TEXT_TAGS = re.compile(r"</?(title|description)>")
SEGMENT = re.compile(r"<seg id=[^>]*>(.*)</seg>")


def tokenisers():
    """Returns a function str -> str for each language, from sacremoses."""
    from sacremoses import MosesTokenizer

    def build(language):
        tokeniser = MosesTokenizer(lang=language)
        split = partial(tokeniser.tokenize, return_str=True)
        return lambda line: split(line).lower()

    return [build(language) for language in LANGUAGES]


def _check_lengths(files, sides):
    """Raises ValueError if the two sides of a parallel text have not the same number of lines."""
    if len(sides[0]) != len(sides[1]):
        raise ValueError(f"{files[0]} has {len(sides[0])} lines, {files[1].name} {len(sides[1])}")


def training_lines(folder):
    """Yields the raw (German, English) pairs of the training talks; titles and descriptions are text.

    Args:
        folder: the archive's ``de-en`` (Path).

    Raises:
        ValueError: the two sides differ in length.
    """
    files = [folder / f"train.tags.de-en.{language}" for language in LANGUAGES]
    sides = [file.read_text("utf-8").split("\n") for file in files]
    _check_lengths(files, sides)
    for pair in zip(*sides, strict=True):
        pair = [TEXT_TAGS.sub("", line).strip() for line in pair]
        if all(pair) and not any(line.startswith("<") for line in pair):
            yield pair


def test_lines(folder):
    """Yields the raw (German, English) pairs of the five test sets, one set after the other.

    Raises:
        ValueError: the two sides of a set differ in length.
    """
    for name in TESTS:
        files = [folder / f"IWSLT14.{name}.de-en.{language}.xml" for language in LANGUAGES]
        sides = [SEGMENT.findall(file.read_text("utf-8")) for file in files]
        _check_lengths(files, sides)
        yield from ([line.replace("\u2019", "'") for line in pair] for pair in zip(*sides, strict=True))


def fits(pair):
    """Whether a tokenised pair is kept for training: neither side empty or long, the lengths alike (bool)."""
    short, long = sorted(len(line.split()) for line in pair)
    return short >= 1 and long <= LONGEST and long <= RATIO * short


def write_text(folder, out):
    """Cleans the corpus into ``out/train.de`` and so on.

    Args:
        folder: the archive's ``de-en`` (Path).
        out: folder to write to (Path).

    Raises:
        ValueError: the two sides of a file differ in length.
        OSError: a file of the archive is missing.
    """
    tokenise = tokenisers()

    def clean(pairs):
        return [[side(line.strip()) for side, line in zip(tokenise, pair, strict=True)] for pair in pairs]

    kept = [pair for pair in clean(training_lines(folder)) if fits(pair)]
    splits = {
        "train": [pair for number, pair in enumerate(kept, 1) if number % VALID_EVERY],
        "valid": kept[VALID_EVERY - 1 :: VALID_EVERY],
        "test": clean(test_lines(folder)),
    }
    for split, pairs in splits.items():
        for side, language in enumerate(LANGUAGES):
            atomic.write_text(out / f"{split}.{language}", "".join(f"{pair[side]}\n" for pair in pairs))


def main():
    """Reads the command line and writes the text; a bad archive ends it in one line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("archive", metavar="FOLDER", type=Path, help="the archive's folder de-en")
    parser.add_argument("out", metavar="OUT", type=Path, help="folder for train, valid and test .de and .en")
    args = parser.parse_args()
    try:
        write_text(args.archive, args.out)
    except (ValueError, OSError) as error:
        raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main()
