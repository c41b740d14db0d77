"""Gives hostile options, recipes, grammars, records and checkpoints to every command, and counts what comes of it."""

import argparse
import logging
import os
import random
import shutil
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

import fairseq  # noqa: F401  (before fairseq_prune, which then registers itself)
from fuzzing import files, spellings
from fuzzing.judge import FAULTS, OUTCOMES, Judge
from fuzzing.shop import Shop

SHARES = {"grammars": 30, "recipes": 15, "options": 20, "commands": 15, "checkpoints": 15, "records": 5}  # of 100 cases


def fuzz(cases, seed, folder, shares=SHARES):
    """Draw and run cases.

    Args:
        cases: how many.
        seed: of all of them.
        folder: for data, models and what cases write; empty.
        shares: dict of room -> its share of the cases.

    Returns:
        (``Counter`` of (room, outcome), list of faults: (outcome, case number, what was given, what came of it)).
    """
    shop, canary = Shop(folder), Path(folder) / "EXECUTED"
    rooms = {
        "grammars": spellings.grammars, "recipes": spellings.recipes, "options": spellings.Options(shop),
        "commands": spellings.commands, "checkpoints": files.Checkpoints(shop), "records": files.records,
    }  # fmt: skip
    judge, counts = Judge(canary, [shop.folder]), Counter()
    os.chdir(shop.scratch)
    for number in range(cases):
        rng = random.Random(f"{seed}/{number}")
        room = rng.choices([*shares], [*shares.values()])[0]
        what, run, refusals = rooms[room](rng, shop, canary)
        began = time.perf_counter()
        counts[room, judge.judge(f"{number} {what}", run, refusals)] += 1
        if (took := time.perf_counter() - began) > 3:
            print(f"slow: {took:.1f} s {number} {room} {str(what)[:200]}", file=sys.stderr)
    return counts, judge.faults


def table(counts, cases, seed, seconds):
    """The counts as Markdown."""
    lines = [
        f"| {cases:,} cases, seed {seed} | cases | " + " | ".join(OUTCOMES) + " |",
        "|---" * (len(OUTCOMES) + 2) + "|",
    ]
    for room in (*SHARES, "all"):
        row = [sum(n for (r, o), n in counts.items() if room in (r, "all") and o == outcome) for outcome in OUTCOMES]
        lines.append(f"| {room} | {sum(row)} | " + " | ".join(map(str, row)) + " |")
    return "\n".join([*lines, "", f"{cases / seconds:.0f} cases a second."])


def main():
    """Reads the command line, runs and reports; the status is 1 if there was a fault."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=2000, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=1, help="default: %(default)s")
    parser.add_argument("--room", choices=SHARES, help="draw no others")
    parser.add_argument("--write", metavar="FILE", type=Path, help="put the table between the marks of this file")
    args = parser.parse_args()
    logging.getLogger().handlers, logging.lastResort = [logging.NullHandler()], None
    warnings.simplefilter("ignore")
    folder = tempfile.mkdtemp(prefix="fuzz.")
    home = os.getcwd()
    try:
        began = time.perf_counter()
        shares = {args.room: 1} if args.room else SHARES
        counts, faults = fuzz(args.cases, args.seed, folder, shares)
    finally:
        os.chdir(home)
        shutil.rmtree(folder)
    for outcome, what, said in faults:
        print(f"\n{outcome}: {what[:600]}\n{said[-3000:]}", file=sys.stderr)
    report = table(counts, args.cases, args.seed, time.perf_counter() - began)
    print(report)
    if args.write:
        write_between_marks(args.write, report)
    sys.exit(any(counts[room, outcome] for room in SHARES for outcome in FAULTS))


def write_between_marks(path, report):
    """Replace what stands in a file between its two comments."""
    from fairseq_prune.files.atomic import write_text

    before, _, rest = path.read_text("utf-8").partition("<!-- fuzz -->")
    after = rest.partition("<!-- end of fuzz -->")[2]
    write_text(path, f"{before}<!-- fuzz -->\n{report}\n<!-- end of fuzz -->{after}")


if __name__ == "__main__":
    main()
