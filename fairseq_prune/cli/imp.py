"""Find a sparse network by rounds of full trainings: train, remove the smallest weights, rewind, train again (IMP).

Every training is a whole run of fairseq-train with the options after --train, in a folder of its own, e.g.

  fairseq-prune imp digits --save-dir checkpoints/imp --target 0.9 --rewind 1ep \\
    --train --task prune_image_classification --arch resnet8 --image-size 16 --criterion image_classification \\
       --batch-size 64 --optimizer sgd --momentum 0.9 --lr-scheduler phased --lr-ft 0:0.1,6:0.01 --max-epoch 8

The first one is dense. Each of the others starts from the weights, optimizer and schedules that the first one had at
--rewind, minus what is removed: --fraction of the remaining weights, the smallest at the end of the training before.
--rewind in updates makes the first training save, and validate, every so many updates.

The folder gets: round-N/, rounds.jsonl (a record for each), rewind.pt or start.pt and start-N.pt (what rounds begin
with). A run that was killed is started again with the same command. Other options need a new folder.
In one training, with rewinding but without waiting for its end: --prune-method magnitude --prune-schedule exponential
--prune-rewind.
"""

import argparse

from ..needs import Need, OptionParser
from ._quiet import quietly

_STAGE = Need(lambda args: args.scope == "stage", "--scope stage")


def add_arguments(parser: OptionParser) -> None:
    """Add the options of ``fairseq-prune imp``."""
    parser.add_argument("data", metavar="DATA", help="DATA of fairseq-train; needs a valid split")
    parser.add_argument("--save-dir", required=True, help="folder of all results")
    parser.add_argument("--target", type=float, required=True, help="fraction removed at the end, in (0, 1)")
    parser.add_argument(
        "--fraction", type=float, default=0.2, help="fraction of the rest removed in a round (default: %(default)s)"
    )
    parser.add_argument(
        "--rewind",
        default="0up",
        metavar="WHEN",
        help="0up (default): to the initialisation; '2ep', '500up': to the first training after so much of it",
    )
    parser.add_argument("--checkpoint", metavar="FILE", help="start from these weights instead of an initialisation")
    parser.add_argument("--scope", help="what a weight is compared with: global (default), layer, stage")
    parser.add_argument("--stages", needs=_STAGE, help="groups of --scope stage: 'embed=*embed*;ffn=*fc1*,*fc2*'")
    parser.add_argument("--include", help="comma-separated name patterns to prune as well, e.g. '*.bias'")
    parser.add_argument("--skip", help="comma-separated name patterns to leave dense, e.g. '*embed*'")
    parser.add_argument("--only", help="comma-separated name patterns; only these are pruned")
    parser.add_argument("--train", nargs=argparse.REMAINDER, default=[], help="options passed to fairseq-train")


def run(args: argparse.Namespace) -> None:
    """Run to the end and print a line for each round.

    Raises:
        ValueError: an option out of its range, before any training; a folder of another run, or a failed training.
    """
    from ..drivers.imp.rounds import ImpRun
    from ..drivers.imp.settings import ImpSettings
    from ..drivers.imp.text import render
    from ..files.locks import one_writer

    settings = ImpSettings.read(args)
    with quietly(), one_writer(args.save_dir):
        records = ImpRun(args.data, args.save_dir, settings).run()
    print(render(records))
