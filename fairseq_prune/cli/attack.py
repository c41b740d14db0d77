"""Attack an image classifier: its accuracy on images changed to mislead it.

Attacks, each with the norm of the change that it bounds or minimises:
  fgsm, pgd        Linf  one step along the gradient's sign; 40 smaller ones from a random start
  fgsm_l1          L1    one step along the gradient
  deepfool, ddn    L2    the smallest change that misleads, by linearised classes; by gradients of decoupled norm
  cw               L2    the same by Carlini and Wagner: finds the smallest, takes longest
  salt_pepper      L2    the least salt-and-pepper noise that misleads
  gaussian_noise   L2    100 draws of Gaussian noise of that norm

Epsilons are of pixels in [0, 1]: normalisation is a part of the model. An image that is
misclassified unchanged counts as misled at every epsilon, so accuracy at epsilon 0 is clean accuracy. Masked and
cut checkpoints work alike.
Needs pip install 'fairseq-prune[attack]', and for --plot 'fairseq-prune[plots]'.
"""

import argparse

from ..files.json_file import to_json
from ..needs import OptionParser
from ._quiet import quietly
from ._types import seed


def add_arguments(parser: OptionParser) -> None:
    """Add the options of ``fairseq-prune attack``."""
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="a checkpoint of --task prune_image_classification")
    parser.add_argument("--data", metavar="DATA", help="images to change; default: the training's")
    parser.add_argument(
        "--attacks", default="fgsm,pgd,deepfool", metavar="NAMES", help="attacks above, or all (default: %(default)s)"
    )
    parser.add_argument(
        "--eps",
        metavar="LIST",
        help="norms of the change, e.g. 1/255,8/255 for all attacks, or by norm 'linf=8/255;l2=0.5,1;l1=8'",
    )
    parser.add_argument("--steps", metavar="NAME=N,...", help="instead of an attack's own, e.g. cw=1000,pgd=100")
    parser.add_argument("--batches", type=int, default=4, metavar="N", help="batches of images (default: %(default)s)")
    parser.add_argument(
        "--batch-size", type=int, default=128, metavar="N", help="images per batch (default: %(default)s)"
    )
    parser.add_argument("--split", default="test", choices=("train", "valid", "test"), help="default: %(default)s")
    parser.add_argument("--seed", type=seed, default=1, help="seed of images and attacks (default: %(default)s)")
    parser.add_argument("--cpu", action="store_true", help="run on the CPU even if there is a GPU")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument("--plot", metavar="FILE", help="draw accuracy against epsilon into this PNG")


def run(args: argparse.Namespace) -> None:
    """Print the report.

    Raises:
        ValueError: a checkpoint of another task, options out of range, or a missing extra.
    """
    with quietly():
        from ..evaluate.attackers import attack

        report, text = attack(args)
    print(to_json(report) if args.json else text)
