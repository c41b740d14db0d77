"""Draw a checkpoint's sparsity and structure, a run's quality, and what an image classifier looks at.

  --sparsity   for any checkpoint: the fraction removed of every layer
  --structure  for any checkpoint: heads, neurons, hidden units, filters of every layer, before and after; if the
               file does not say how many there were, give the model before it was cut with --original
  --run        LOG FILE: loss, quality, fraction removed and the method's metrics (connectivity, penalty ...) over a
               run, from its own log (fairseq-train --log-format simple or json), or from a folder of logs
  --confusion  the confusion matrix of all images of the split, in % of the true class
  --saliency   a few images of the split, and how much each pixel changes the score of the predicted class
  --scores     SNIP's and SNAP's scores over training batches, sorted: |w dL/dw| of the weights of every layer, and
               of every node the sum over the weights that read it; removed weights have none

Masked and cut checkpoints work alike. Needs pip install 'fairseq-prune[plots]'. The penalties of greg1 and greg2 are
drawn by fairseq-prune plot-growth, accuracy under attack by fairseq-prune attack --plot.
"""

import argparse

from ..needs import Need, OptionParser
from ._quiet import quietly
from ._types import seed

_SALIENCY = Need(lambda args: args.saliency, "--saliency saliency.png")
_SCORES = Need(lambda args: args.scores, "--scores scores.png")
_SPLIT = Need(lambda args: args.saliency or args.confusion, "--confusion confusion.png")
_BATCHES = Need(lambda args: args.scores or args.confusion, "--confusion confusion.png")
_IMAGES = Need(lambda args: args.saliency or args.scores or args.confusion, "--scores scores.png")
_CUT = Need(lambda args: args.structure, "--structure structure.png")
_DRAWN = Need(lambda args: args.saliency or args.scores, "--saliency saliency.png")


def add_arguments(parser: OptionParser) -> None:
    """Add the options of ``fairseq-prune plot``."""
    parser.add_argument("checkpoint", metavar="CHECKPOINT", nargs="?", help="needed for all figures but --run")
    parser.add_argument("--run", nargs=2, metavar=("LOG", "FILE"), help="a log or folder of logs, and the PNG to write")
    parser.add_argument("--original", metavar="FILE", needs=_CUT, help="the checkpoint before units were cut")
    for name in ("sparsity", "structure", "confusion", "saliency", "scores"):
        parser.add_argument(f"--{name}", metavar="FILE", help=f"the PNG of {name} to write")
    parser.add_argument("--data", metavar="DATA", needs=_IMAGES, help="images; default: the training's")
    splits = ("train", "valid", "test")
    parser.add_argument("--split", default="test", choices=splits, needs=_SPLIT, help="default: %(default)s")
    for option, default, needs, text in (
        ("--images", 8, _SALIENCY, "with --saliency"),
        ("--batches", 5, _SCORES, "with --scores"),
        ("--batch-size", 128, _BATCHES, "images in one, with --scores and --confusion"),
    ):
        text = f"{text} (default: {default})"
        parser.add_argument(option, type=int, default=default, metavar="N", needs=needs, help=text)
    parser.add_argument("--seed", type=seed, default=1, needs=_DRAWN, help="batches of images (default: %(default)s)")
    parser.add_argument("--cpu", action="store_true", needs=_IMAGES, help="run on the CPU even if there is a GPU")


def run(args: argparse.Namespace) -> None:
    """Write the figures and say which.

    Raises:
        ValueError: a checkpoint of another task, options out of range, or a missing extra.
    """
    with quietly():
        from ..drivers.plotters import plot

        text = plot(args)
    print(text)
