"""Kills runs at random moments, resumes them, and compares what they end with to the same runs without a kill.

python benchmarks/soak.py --kills 200 --seed 1 --write docs/reliability.md
"""

import argparse
import random
import re
import shutil
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

import soak_children as children

TABLE = re.compile(r"(<!-- soak -->\n).*?(<!-- end of soak -->)", re.DOTALL)
EACH = 4  # kills of a run, for one reference


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1, help="of which runs, and of the moments")
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time")
    parser.add_argument("--each", type=int, default=EACH, help="kills of a run at least")
    parser.add_argument("--only", default="", help="runs whose kind and name match this regular expression")
    parser.add_argument("--write", type=Path, help="page whose table to replace")
    args = parser.parse_args()
    begun, folder = time.monotonic(), Path(tempfile.mkdtemp(prefix="soak-"))
    children.preload()
    tallies = soak(args, folder)
    table, faults = render(tallies), [fault for tally in tallies for fault in tally.faults]
    minutes = (time.monotonic() - begun) / 60
    print(f"{table}\nseed {args.seed}, {minutes:.1f} minutes", *faults, sep="\n")
    if args.write:
        write(args.write, table)
    if faults:
        sys.exit(1)
    shutil.rmtree(folder)


def soak(args, folder):
    """Kill what was asked for; list of :class:`~soak_kills.Tally`."""
    from soak_kills import kill_often
    from soak_readme import readme_runs
    from soak_runs import made_runs, make_data

    data = folder / "data"
    make_data(data, children.run_in_child)
    runs = [run for run in made_runs() + readme_runs() if re.search(args.only, f"{run.kind}, {run.name}")]
    random.Random(args.seed).shuffle(runs)
    runs = runs[: max(args.kills // args.each, 1)]
    kills = Counter(number % len(runs) for number in range(args.kills))
    with ProcessPoolExecutor(args.jobs, get_context("fork"), children.become_reaper) as pool:
        waiting = [
            pool.submit(kill_often, run, kills[number], folder / str(number), data, args.seed)
            for number, run in enumerate(runs)
        ]
        for done, future in enumerate(as_completed(waiting), 1):
            future.result()
            print(f"\r{done} of {len(runs)} runs", end="" if done < len(runs) else "\n", file=sys.stderr, flush=True)
        return [future.result() for future in waiting]


def render(tallies):
    """The table in Markdown, a row for each kind of run and one for all.

    Args:
        tallies: list of :class:`~soak_kills.Tally`.
    """
    from soak_kills import MOMENTS, OUTCOMES

    columns, rows = ("kills", *MOMENTS, *OUTCOMES), {}
    for tally in sorted(tallies, key=lambda tally: tally.kind):
        for row in (tally.kind, "all"):
            rows.setdefault(row, Counter()).update(tally.counts)
    rows["all"] = rows.pop("all")
    lines = [("runs", *columns), ("---", *["---:"] * len(columns))]
    lines += [(row, *(str(counts[column]) for column in columns)) for row, counts in rows.items()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def write(page, table):
    """Replace the table in a page, between its two comments."""
    text = page.read_text()
    if not TABLE.search(text):
        sys.exit(f"--write {page}: has no <!-- soak --> and <!-- end of soak -->")
    page.write_text(TABLE.sub(rf"\1{table}\n\2", text))


if __name__ == "__main__":
    main()
