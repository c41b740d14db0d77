"""Train every method of a recipe at every target with every seed, or search options: a table, and a figure.

  fairseq-prune sweep recipes/sweeps/demo.yaml --save-dir checkpoints/sweep

Every trial is fairseq-train in a folder of its own, from the dense checkpoint of the recipe (docs/sweep.md). A killed
sweep continues with the same command. Several processes, on one machine or on several that share the folder, can work
on it: each takes the next trial that no other has. The folder gets a folder for each method and target, journal.jsonl
(Optuna's), dense.json, and in the end table.json and quality.png.
"""

import argparse
import os
import sys

from ..files.json_file import to_json
from ..needs import OptionParser
from ._quiet import quietly


def add_arguments(parser: OptionParser) -> None:
    """Add the options of ``fairseq-prune sweep``."""
    parser.add_argument("recipe", metavar="RECIPE", help="YAML file of the sweep")
    parser.add_argument("--save-dir", required=True, help="folder of all results")
    parser.add_argument("--table", action="store_true", help="show the results so far without training")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")


def run(args: argparse.Namespace) -> None:
    """Train what is left, print, draw; progress goes to standard error.

    Raises:
        ValueError: a recipe that cannot be, a folder of another recipe, Optuna is missing, or trainings failed.
    """
    from ..drivers.sweep.journal import require_optuna
    from ..drivers.sweep.recipe import SweepRecipe
    from ..drivers.sweep.run import Sweep
    from ..report.sweep import render_sweep, rows_of

    require_optuna()
    recipe = SweepRecipe.read(args.recipe)
    if args.table and not os.path.isdir(args.save_dir):
        raise ValueError(f"--save-dir {args.save_dir}: holds no sweep yet; leave out --table to begin one")
    with quietly():
        sweep = Sweep(recipe, args.save_dir, lambda line: print(line, file=sys.stderr, flush=True))
        failed = "" if args.table else sweep.run()
        report = sweep.report()
        report["rows"] = rows_of(report)
        sweep.write(report, _draw)
    print(to_json(report) if args.json else render_sweep(report))
    if failed:
        raise ValueError(failed)


def _draw(report, folder):
    from ..report.png import check_png
    from ..report.sweep import draw_sweep

    path = os.path.join(folder, "quality.png")
    try:
        check_png("quality.png", path)
    except ValueError as error:
        print(error, file=sys.stderr)
    else:
        draw_sweep(report, path)
