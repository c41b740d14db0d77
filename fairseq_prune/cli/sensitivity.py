"""Prune each layer alone, without training, and measure what the model loses: which layers can lose more.

  fairseq-prune sensitivity checkpoints/dense/checkpoint_best.pt --data data-bin/mine --png sensitivity.png

The model is loaded once; each trial masks one row of the table, measures the criterion's loss on batches of the split,
and restores the weights. --recipe writes fractions for fairseq-train --prune-recipe: together they add up to --total,
and by these measurements every row then costs the same. Interactions between layers are not measured.
"""

import argparse
import sys

from ..files.json_file import to_json
from ..needs import Need, OptionParser
from ._quiet import quietly
from ._types import seed
from ._user_dir import add_user_dir
from .prune import OPTIONS

_TAKEN = ("method", "units", "importance", "include", "skip", "only", "rounding")
_RECIPE = Need(lambda args: args.recipe, "--recipe layers.yaml")


def add_arguments(parser: OptionParser) -> None:
    """Add the options of ``fairseq-prune sensitivity``."""
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="a file that fairseq-train saved")
    parser.add_argument("--data", metavar="DATA", help="its data; default: the training's")
    parser.add_argument("--split", help="split of the data (default: the training's validation split)")
    parser.add_argument("--batches", type=int, metavar="N", help="batches of 64 sentences or images (16)")
    parser.add_argument(
        "--targets", default="0.3,0.5,0.7,0.9", metavar="F,F", help="fractions tried (default: %(default)s)"
    )
    parser.add_argument(
        "--by", default="layer", choices=("layer", "group"),
        help="a tensor or vector of coupled units, or the tensors of a numbered block together (default: %(default)s)",
    )  # fmt: skip
    for name in _TAKEN:
        parser.add_argument(f"--{name}", help=OPTIONS[name])
    parser.add_argument("--seed", type=seed, default=1, help="seed of random choices (default: %(default)s)")
    parser.add_argument("--recipe", metavar="FILE", help="YAML file to write the fractions to")
    parser.add_argument("--total", type=float, metavar="F", needs=_RECIPE, help="their overall fraction, at most")
    parser.add_argument("--png", metavar="FILE", help="draw a heat map")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    add_user_dir(parser)


def run(args: argparse.Namespace) -> None:
    """Measure, print, draw, write; progress goes to standard error.

    Raises:
        ValueError: an option out of its range, or a checkpoint or data that cannot be read.
    """
    from ..files.atomic import check_written
    from ..report.png import check_png
    from ..report.sensitivity import draw_sensitivity, render_sensitivity, write_recipe

    if args.png:
        check_png("--png", args.png)
    if args.recipe:
        check_written("--recipe", args.recipe, ".yaml", ".yml")
        if args.total is None:
            raise ValueError(f"--recipe {args.recipe}: needs a total; give e.g. --total 0.8")
    with quietly():
        try:
            report = _measured(args)
        except ValueError as error:  # options go by their names in fairseq-train
            raise ValueError(str(error).replace("--prune-target", "--targets").replace("--prune-", "--")) from None
        if args.png:
            draw_sensitivity(report, args.png)
        if args.recipe:
            write_recipe(report, args.recipe)
    print(to_json(report) if args.json else render_sensitivity(report))


def _measured(args):
    from ..evaluate.sensitivity import SensitivitySettings, find_sensitivity

    given = {name: value for name in _TAKEN if (value := getattr(args, name)) is not None}
    settings = SensitivitySettings(
        args.checkpoint, {"method": "magnitude", **given}, _fractions(args.targets), args.by, args.data, args.split,
        args.batches, args.seed, args.total,
    )  # fmt: skip
    return find_sensitivity(settings, lambda line: print(line, file=sys.stderr, flush=True))


def _fractions(text):
    try:
        return sorted({float(part) for part in text.split(",")})
    except ValueError:
        raise ValueError(f"--targets {text}: give fractions, e.g. --targets 0.3,0.5,0.7,0.9") from None
