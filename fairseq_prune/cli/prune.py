"""Prune a checkpoint at once, without training.

For methods that use the weights alone (magnitude, random, irregular, filter, stripe, patdnn, n:m, l1, given), and for
those that use the inputs of layers over a few batches of the training set (wanda, ria, sparsegpt). Whole units that can
be cut (neurons of Transformers, channels of image classifiers) are cut out; everything else is masked.

OUT has no optimizer state: evaluate it with --user-dir and its pruning task, e.g. --task prune_translation, or
continue training with --finetune-from-model. --quality measures both models on valid and test, as inspect --data
does, before OUT gets its name.
"""

import argparse

from ..files.json_file import to_json
from ..needs import OptionParser
from ._out import add_out, require_new
from ._quiet import quietly
from ._types import seed
from ._user_dir import add_user_dir

OPTIONS = {  # of the plan, as --prune-* of fairseq-train; what each is like
    "method": "magnitude (default), random, irregular, filter, stripe, patdnn, n:m, l1, given; wanda, ria, sparsegpt",
    "target": "fraction to remove, in [0, 1), or 2:4; by group: 'ih=0.9,hh=0.5'",
    "params-left": "instead of a fraction: part of the parameters that may be left, in (0, 1)",
    "macs-left": "the same of multiply-accumulates",
    "units": "what is removed together, e.g. row, block:4x4, neuron, head, 2:4",
    "importance": "what is kept: magnitude, magnitude_l2, random",
    "scope": "compared with whom: global, layer, output, stage",
    "stages": "groups of --scope stage: 'embed=*embed*;ffn=*fc1*,*fc2*'",
    "include": "comma-separated name patterns to prune as well, e.g. '*.bias'",
    "skip": "comma-separated name patterns to leave dense, e.g. '*embed*'",
    "only": "comma-separated name patterns; only these are pruned, e.g. '*conv*'",
    "batches": "batches of the training set that show the layers' inputs (5); for wanda, ria, sparsegpt",
    "rounding": "from a fraction to a count: nearest, up, reference",
}


def add_arguments(parser: OptionParser) -> None:
    """Add the options of ``fairseq-prune prune``."""
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="a file that fairseq-train saved")
    add_out(parser)
    for name, text in OPTIONS.items():
        parser.add_argument(f"--{name}", help=text)
    parser.add_argument("--seed", type=seed, default=1, help="seed of random choices (default: %(default)s)")
    parser.add_argument("--data", metavar="DATA", help="its data; default: the training's")
    parser.add_argument("--quality", action="store_true", help="measure both models on the data")
    add_user_dir(parser)


def run(args: argparse.Namespace) -> None:
    """Write OUT, and print what is removed.

    Raises:
        ValueError: CHECKPOINT is unreadable, OUT exists, its data are not there, or an option does not fit.
    """
    require_new(args, "checkpoint", "checkpoints/pruned.pt")
    from ..compat import load_checkpoint
    from ..deploy.prune import prune_checkpoint

    names = [name.replace("-", "_") for name in OPTIONS]
    options = {name: value for name in names if (value := getattr(args, name)) is not None}
    options.setdefault("method", "magnitude")
    quality: dict[str, dict[str, float]] = {}

    def check(written):
        load_checkpoint(written)
        quality.update(_quality(args, written) if args.quality else {})

    with quietly():
        try:
            removed = prune_checkpoint(args.checkpoint, args.out, options, args.data, args.seed, check)
        except ValueError as error:  # options go by their names in fairseq-train
            raise ValueError(str(error).replace("--prune-", "--")) from None
    if args.json:
        print(to_json({"removed": removed, **quality}))
    else:
        print(f"{removed:.4f} of the prunable weights are removed; wrote {args.out}")
        print(_table(quality), end="")


def _quality(args, written):
    from ..compat import load_checkpoint
    from ..evaluate.quality import inspect_quality

    paths = {"before": args.checkpoint, "after": written}
    return {name: inspect_quality(path, load_checkpoint(path), args.data) for name, path in paths.items()}


def _table(quality):
    from ..evaluate.quality import render_quality

    return render_quality(quality) + "\n" if quality else ""
