"""Prune a recurrent model by searched rates of groups under an accuracy limit (SiPO).

Without --rounds the model is pruned once; with it, rounds of search, pruning and retraining follow each other
until accuracy cannot be recovered or nothing more can be removed. Retraining is fairseq-train with the
options after --train, e.g.

  fairseq-prune sipo data-bin/words --checkpoint lm.pt --save-dir checkpoints/sipo --group stage --rounds 20 \\
    --train --task prune_stateful_language_modeling --arch rnn_lm --optimizer sgd --lr 20 --clip-norm 0.25 \\
       --batch-size 20 --batch-size-valid 10 --tokens-per-sample 35

The folder gets: search-N.jsonl (a record for each candidate), rates-N.yaml (recipe of --prune-method given),
pruned-N.pt, retrain-N/, retrained-N.pt, best.pt, summary.json and record.txt. A run that was killed is started
again with the same command; one that reached --rounds continues with more of them. Other options need a new folder.
"""

import argparse
import os

from ..needs import Need, OptionParser
from ._types import seed


def _searches_jointly(args):
    from ..drivers.sipo.settings import default_search

    return (args.search or default_search(args.group)) != "grid"


_ROUNDS = Need(lambda args: args.rounds > 0, "--rounds 20")
_JOINTLY = Need(_searches_jointly, "--search ncs")
_START = Need(lambda args: _searches_jointly(args) and args.search != "warm", "--search ncs")
_LOWEST = Need(lambda args: _searches_jointly(args) and args.reference, "--reference --search ncs")


def add_arguments(parser: OptionParser) -> None:
    """Add the options of ``fairseq-prune sipo``."""
    parser.add_argument("data", metavar="DATA", help="folder of fairseq-preprocess; needs a valid split")
    parser.add_argument("--checkpoint", required=True, help="the trained model")
    parser.add_argument("--save-dir", required=True, help="folder of all results")
    parser.add_argument(
        "--group",
        default="stage",
        help="all, layer, stage (default), stage3, stage6, stage+layer, or patterns: 'ih=*_ih*;hh=*_hh*;rest=*embed*'",
    )
    parser.add_argument(
        "--search",
        help="grid (default for all and layer), ncs (default for the others), or warm: ncs from a common threshold",
    )
    parser.add_argument(
        "--max-drop", type=float, dest="drop", help="tolerated loss of accuracy (default 0.01: a point)"
    )
    parser.add_argument(
        "--max-ppl-increase", type=float, dest="ppl_rise", help="tolerated rise of perplexity, e.g. 0.05 (any)"
    )
    parser.add_argument("--accuracy", type=float, help="reference accuracy (default: that of --checkpoint)")
    _add_rounds(parser)
    _add_search(parser)
    parser.add_argument("--reference", action="store_true", help="replay the original's quirks")
    parser.add_argument("--tensorboard-logdir", help="folder for scalars of the search")
    parser.add_argument(
        "--train", nargs=argparse.REMAINDER, default=[], needs=_ROUNDS, help="options passed to fairseq-train"
    )


def _add_rounds(parser):
    parser.add_argument("--rounds", type=int, default=0, help="maximum rounds with retraining; 0 (default): prune once")
    parser.add_argument(
        "--epochs", type=int, needs=_ROUNDS, help="epochs of retraining in a round (default 8; grid and translation 6)"
    )
    parser.add_argument(
        "--recover-metric",
        dest="recover",
        needs=_ROUNDS,
        choices=("accuracy", "perplexity", "both"),
        help="measure of the dense model that retraining must reach to count as recovered (default accuracy)",
    )
    parser.add_argument("--slack", type=float, needs=_ROUNDS, help="shortfall allowed, e.g. 0.001 (default 0)")
    parser.add_argument(
        "--dense-control", action="store_true", needs=_ROUNDS, help="train the unpruned model as long, for comparison"
    )


def _add_search(parser):
    def add(option, kind, needs, text):
        parser.add_argument(option, type=kind, needs=needs, help=text)

    add("--population", int, _JOINTLY, "individuals of ncs (default 6, with rounds 8; translation 4)")
    add("--generations", int, _JOINTLY, "of ncs (default 100)")
    add("--start", float, _START, "first rate of all groups (default 0.1, with rounds 0.6 or 0.25)")
    add("--low", float, _LOWEST, "smallest rate in --reference (default 0.1; translation 0)")
    add("--high", float, _JOINTLY, "largest rate (default near 1; translation 0.95)")
    add("--sigma", float, _JOINTLY, "first standard deviation of ncs (default 0.05)")
    add("--workers", int, _JOINTLY, "candidates evaluated at a time, each with a copy (default 1)")
    parser.add_argument(
        "--prune-execute",
        dest="execute",
        help="run layers dense (default), as sparse matrices (csr), or whichever is faster (auto); the last digits "
        "of sums then depend on the clock, so another run may find other rates",
    )
    add("--seed", seed, None, "of search and retraining (default 1)")


_OWN = ("data", "checkpoint", "save_dir", "dense_control", "tensorboard_logdir")


def run(args: argparse.Namespace) -> None:
    """Run to the end, write the summary and print the record.

    Raises:
        ValueError: an option out of its range, data or checkpoint that do not fit, or a failed training.
    """
    from ..drivers.sipo.run import run_sipo
    from ..drivers.sipo.training import check_words
    from ..files.folder import require_writable

    if args.rounds > 0:
        check_words(args.train)
    if not os.path.isdir(args.data):
        raise ValueError(f"DATA {args.data}: no such folder; make it with fairseq-preprocess, e.g. data-bin/words")
    if args.tensorboard_logdir:
        require_writable(args.tensorboard_logdir)
    given = {name: value for name, value in vars(args).items() if name not in _OWN}
    log = {"tensorboard_logdir": args.tensorboard_logdir}
    print(run_sipo(args.checkpoint, args.data, args.save_dir, given, args.dense_control, log), end="")
