"""Kernels and waits of one training step, counted without a GPU: what a GPU pays for.

On a GPU a small model's step takes as long as Python needs to launch its kernels, and each result that Python waits for
empties the queue. Both can be counted anywhere: an operation on a list of tensors is one launch, a view is none.
"""

import argparse
import collections
import contextlib
import itertools
import logging
import tempfile
from dataclasses import dataclass

from torch.utils._python_dispatch import TorchDispatchMode
from trainers import make_trainer

import fairseq_prune
from fairseq_prune.pruning import devices

fairseq_prune.register()

TRAINING = """--share-decoder-input-output-embed --optimizer adam --lr 1e-4 --num-workers 0 --cpu --max-tokens 100
    --criterion label_smoothed_cross_entropy --required-batch-size-multiple 1 --encoder-embed-dim 64
    --decoder-embed-dim 64 --encoder-ffn-embed-dim 128 --decoder-ffn-embed-dim 128
    --encoder-attention-heads 4 --decoder-attention-heads 4"""
LAYERS = 6  # of encoder and decoder
STEPS = 4  # the first builds the optimizer; of all events have come by the last
LATER = "--prune-end 100000up"
REWIRED = f"{LATER} --prune-every 1000up"
TAUGHT = "with a teacher as large"
CONTENDERS = {  # name: task, its own options (@: a checkpoint of the plain one), the most kernels to plain
    "plain fairseq-train": ("translation", "", 1.0),
    "magnitude, 80 % masked": ("prune_translation", "--prune-method magnitude --prune-target 0.8", 1.05),
    "greg1, neurons": ("prune_translation", "--prune-method greg1 --prune-units neuron --prune-target 0.5", 1.05),
    "greg1, weights": ("prune_translation", "--prune-method greg1 --prune-units weight --prune-target 0.5", 1.05),
    "movement, selected at every update": (
        "prune_translation",
        "--prune-method movement --prune-target 0.8 --prune-end 5up --prune-every 1up",
        1.15,
    ),
    "sr_ste, 2:4, selected at every update": (
        "prune_translation",
        "--prune-method sr_ste --prune-target 2:4 --prune-freeze 100000up",
        1.15,
    ),
    "admm": (
        "prune_translation",
        "--prune-method admm --prune-target 0.5 --prune-freeze 100000up --prune-every 1000up",
        1.15,
    ),
    "l0": ("prune_translation", f"--prune-method l0 {LATER}", 1.15),
    "gate_decorators": (
        "prune_translation",
        f"--prune-method gate_decorators --prune-target 0.5 {LATER} --prune-every 1000up",
        1.15,
    ),
    "skeleton, rows": (
        "prune_translation",
        f"--prune-method skeleton --prune-units row --prune-target 0.5 {LATER}",
        1.15,
    ),
    "set, between events": ("prune_translation", f"--prune-method set --prune-target 0.8 {REWIRED}", 1.05),
    "rigl, between events": ("prune_translation", f"--prune-method rigl --prune-target 0.8 {REWIRED}", 1.05),
    "hoyer_square": ("prune_translation", f"--prune-method hoyer_square {LATER}", 1.15),
    "group_hoyer_square": ("prune_translation", f"--prune-method group_hoyer_square {LATER}", 1.15),
    TAUGHT: ("prune_translation", "--prune-teacher @", 1.15),
    "SRP architecture, not pruned": ("srp_translation", "", 1.05),
    "SRP architecture, shrinking to 20 %": (
        "srp_translation",
        "--srp --compression-rate 0.2 --srp-pruning-updates 100000 --srp-score-batches 1",
        1.05,
    ),
}
VIEWS = ("view", "_unsafe_view", "transpose", "t.", "detach", "unsqueeze", "squeeze", "expand", "slice", "select",
         "permute", "alias", "as_strided", "reshape", "split", "unbind")  # fmt: skip
WAITS = ("_local_scalar_dense", "nonzero", "is_nonzero", "equal.", "masked_select")


class Count(TorchDispatchMode):
    """Counts the operations that run below it.

    Attributes:
        kernels: launched (count).
        waits: of those, operations whose result Python waits for (count).
    """

    def __init__(self):
        super().__init__()
        self._seen = collections.Counter()

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        self._seen[str(operation).removeprefix("aten.")] += 1
        return operation(*args, **(kwargs or {}))

    @property
    def kernels(self):
        return sum(n for name, n in self._seen.items() if not name.startswith(VIEWS))

    @property
    def waits(self):
        return sum(n for name, n in self._seen.items() if name.startswith(WAITS))


@dataclass(frozen=True)
class Step:
    """A training step.

    Args:
        kernels: launched (count).
        waits: results that Python waits for (count).
    """

    kernels: int
    waits: int


@contextlib.contextmanager
def as_on_a_gpu():
    """Let the CPU be treated as a device that pays for launches."""
    hosts, devices.HOSTS = devices.HOSTS, set()
    try:
        yield
    finally:
        devices.HOSTS = hosts


def count_step(data, name, layers=LAYERS, precision=""):
    """Count the last of a few training steps, in the midst of an epoch.

    Args:
        data: binarised parallel corpus.
        name: in :data:`CONTENDERS`.
        layers: of encoder and decoder (count).
        precision: an option of fairseq-train, str.

    Returns:
        :class:`Step`.
    """
    with tempfile.TemporaryDirectory() as folder:
        trainer = _trainer(data, name, layers, f"{folder}/dense.pt", precision)
    *warm_up, batch = itertools.islice(trainer.get_train_iterator(1).next_epoch_itr(shuffle=False), STEPS)
    with as_on_a_gpu():
        for other in warm_up:
            trainer.train_step([other])
        with Count() as count:
            trainer.train_step([batch])
    return Step(count.kernels, count.waits)


def _trainer(data, name, layers, dense, precision):
    """A contender's trainer; ``dense``: path of a checkpoint that is written if it asks for one."""
    task, words, _ = CONTENDERS[name]
    arch = "srp_transformer" if task == "srp_translation" else "transformer"
    depth = f"--arch {arch} --encoder-layers {layers} --decoder-layers {layers}"
    if "@" in words:
        plain = _trainer(data, next(iter(CONTENDERS)), layers, dense, precision)
        plain.consolidate_optimizer()
        plain.save_checkpoint(dense, {})
    words = f"{words.replace('@', dense)} {precision}"
    return make_trainer([str(data), "--task", task, *depth.split(), *TRAINING.split(), *words.split()])


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="data-bin/demo", help="binarised parallel corpus (make demo)")
    data = parser.parse_args().data
    logging.disable(logging.WARNING)
    plain = None
    print(f"| training step, Transformer of {LAYERS} + {LAYERS} layers | kernels | to plain | at most | waits |")
    print("|---|---|---|---|---|")
    for name, (*_, limit) in CONTENDERS.items():
        step = count_step(data, name)
        plain = plain or step
        print(
            f"| {name} | {step.kernels:,} | {step.kernels / plain.kernels:.3f} | {limit} | {step.waits} |", flush=True
        )


if __name__ == "__main__":
    main()
