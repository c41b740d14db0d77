"""A masked, a moving and a shrinking training step against plain fairseq and against torch.nn.utils.prune.

The contenders take turns on the same batches in one process, so that whatever else the machine
does hits all of them.
"""

import argparse
import logging
import statistics
from pathlib import Path

from devices import add_device
from torch.nn.utils import prune
from trainers import build_trainer, median_ratio, step_times

import fairseq_prune

fairseq_prune.register()

TRAINING = """--share-all-embeddings --optimizer adam --lr 1e-4 --num-workers 0
    --criterion label_smoothed_cross_entropy --required-batch-size-multiple 1"""
SIZES = {
    "iwslt_de_en": """--encoder-embed-dim 512 --decoder-embed-dim 512 --encoder-ffn-embed-dim 1024
        --decoder-ffn-embed-dim 1024 --encoder-attention-heads 4 --decoder-attention-heads 4""",
    "3+3x256": """--encoder-layers 3 --decoder-layers 3 --encoder-embed-dim 256 --decoder-embed-dim 256
        --encoder-ffn-embed-dim 1024 --decoder-ffn-embed-dim 1024 --encoder-attention-heads 4
        --decoder-attention-heads 4""",
}
STOCK = "--arch transformer"
MASKED = "--arch transformer --prune-method magnitude --prune-target 0.8"
SRP = "--arch srp_transformer"
MOVEMENT = "--arch transformer --prune-method movement --prune-target 0.8 --prune-end 100000up --prune-every 1up"
SHRINKING = "--arch srp_transformer --srp --compression-rate 0.2 --srp-pruning-updates 100000 --srp-score-batches 1"
RIVAL = "torch.nn.utils.prune, 80 %, feed-forward layers only"
CONTENDERS = {
    "plain fairseq-train": ("translation", STOCK),
    "prune_translation, 80 % masked": ("prune_translation", MASKED),
    RIVAL: ("translation", STOCK),
    "movement, selected at every update": ("prune_translation", f"{MOVEMENT} --prune-start 0up"),
    "SRP architecture, not pruned": ("srp_translation", SRP),
    "SRP architecture, shrinking to 20 %": ("srp_translation", SHRINKING),
}


def prune_with_torch(model):
    """The rival: torch.nn.utils.prune's parametrisation, 80 % removed, wherever it can be used.

    fairseq's attention reads its projections' weights without calling their modules, so the
    forward hooks of torch's pruning never run there: only the feed-forward layers remain.
    """
    targets = [(m, "weight") for name, m in model.named_modules() if name.endswith((".fc1", ".fc2"))]
    prune.global_unstructured(targets, pruning_method=prune.L1Unstructured, amount=0.8)


def measure(data, size, max_tokens, rounds, device):
    """Seconds of each contender's steps on the same batches, dict of name -> list of ``rounds`` floats."""
    common = [*TRAINING.split(), *device.words, *size.split(), "--max-tokens", str(max_tokens)]
    built = {
        name: build_trainer([data, "--task", task, *common, *words.split()])
        for name, (task, words) in CONTENDERS.items()
    }
    prune_with_torch(built[RIVAL][0].get_model())
    return step_times(built, rounds, device)


def main():
    """Print median step times and the ratio of each contender to plain fairseq."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="data-bin/demo", help="binarised parallel corpus (make demo)")
    parser.add_argument("--rounds", type=int, default=40, help="steps of each contender")
    parser.add_argument("--max-tokens", type=int, default=1000, help="of a batch")
    parser.add_argument("--size", choices=SIZES, help="of the Transformer; without it, each in turn")
    parser.add_argument("--precision", default="", help="an option of fairseq-train, e.g. --precision=--fp16")
    add_device(parser)
    args = parser.parse_args()
    if not Path(args.data).is_dir():
        raise SystemExit(f"--data {args.data}: no such folder; make demo writes data-bin/demo")
    logging.disable(logging.INFO)
    for name in [args.size] if args.size else SIZES:
        times = measure(args.data, f"{SIZES[name]} {args.precision}", args.max_tokens, args.rounds, args.device)
        plain = times["plain fairseq-train"]
        where = f"{args.device.name} {args.precision}".strip()
        about = f"training step, Transformer {name}, {args.max_tokens:,} tokens, {where}"
        print(f"| {about} | median ms | ratio to plain |\n|---|---|---|")
        for contender, mine in times.items():
            print(f"| {contender} | {1000 * statistics.median(mine):.1f} | {median_ratio(mine, plain):.3f} |")
        print(f"\n{args.device.memory()}\n")


if __name__ == "__main__":
    main()
