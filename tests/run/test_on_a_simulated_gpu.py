"""Methods on a simulated GPU: all that they compute with is there, and they end as they do on the CPU."""

import sys
from pathlib import Path

import conftest
import pytest
from conftest import USER_DIR, run_fairseq
from ranks import finished

from fairseq_prune.compat import load_checkpoint
from fairseq_prune.pruning import devices

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts" / "gpu"))
from simulated import simulated_gpu  # noqa: E402

EVENTS = "--prune-target 0.6 --prune-schedule cubic --prune-start 2up --prune-end 6up --prune-every 2up"
LAYERS = "--decoder-layers 2 --prune-only decoder.layers.* --prune-target 0.5 --prune-start 4up"
TEXT = {
    "averages": f"--prune-method magnitude {EVENTS} --store-ema --ema-decay 0.9 --update-freq 2",
    "movement": "--prune-method movement --prune-target 0.6 --prune-end 6up",
    "admm": "--prune-method admm --prune-target 0.6 --prune-freeze 6up --prune-every 2up",
    "l0": "--prune-method l0 --prune-end 6up",
    "rigl": "--prune-method rigl --prune-target 0.6 --prune-freeze 6up --prune-every 2up",
    "growing neurons": """--prune-method greg1 --prune-units neuron --prune-target 0.5 --update-reg-interval 1
        --stabilize-reg-interval 1 --reg-granularity-prune 0.5 --reg-upper-limit 1""",
    "scores of derivatives": f"--prune-method snip_it {EVENTS}",
    "inputs": f"--prune-method sparsegpt {EVENTS}",
    "whole layers": f"--prune-method layer_loss {LAYERS}",
    "heads": "--prune-method l1 --prune-units head --prune-target 0.5 --prune-start 4up",
    "rewound": f"--prune-method imp {EVENTS} --prune-rewind 1up",
    "srp": """--task srp_translation --arch srp_transformer --srp --compression-rate 0.5 --srp-pruning-updates 6
        --srp-score-batches 1""",
}
IMAGES = {
    "gates": "--prune-method gate_decorators --prune-tocks 1 --prune-target 0.5 --prune-end 4up --prune-every 2up",
    "nodes before training": "--prune-method snap_it --prune-target 0.5",
    "filters": "--prune-method filter --prune-target 0.5 --prune-schedule linear --prune-end 4up --prune-every 2up",
}


CNN = f"""{conftest.IMAGES} --arch resnet8 --image-size 8 --max-train-images 64 --batch-size 16 --max-update 6
    --disable-validation --lr 0.05"""


def trained(words, folder):
    """Models of a run on the GPU and of one on the CPU, which goes the ways that GPUs go; in a process of its own."""
    finished(1, train_both, [*words, "--user-dir", USER_DIR], folder)
    return [load_checkpoint(folder / place / "checkpoint_last.pt")["model"] for place in ("there", "here")]


def train_both(rank, words, folder):
    with simulated_gpu():  # first: before this process has computed gradients
        run_fairseq("train", *(word for word in words if word != "--cpu"), "--save-dir", folder / "there")
    devices.HOSTS = set()
    run_fairseq("train", *words, "--save-dir", folder / "here")


def unlike(there, here):
    """Names of parameters that differ by more than rounding; keys' biases, which change nothing, are all rounding."""
    zeros = {name: [(model[name] == 0).sum() for model in (there, here)] for name in here}
    far = [name for name in here if (there[name] - here[name]).abs().gt(1e-3).float().mean() > 0.02]
    return [name for name in here if name in far and "k_proj.bias" not in name or zeros[name][0] != zeros[name][1]]


@pytest.mark.parametrize("name", TEXT)
def test_text(new_run, tmp_path, name):
    assert not unlike(*trained(new_run().words(*TEXT[name].split()), tmp_path))


@pytest.mark.parametrize("name", IMAGES)
def test_images(tmp_path, name):
    assert not unlike(*trained(["synthetic", *CNN.split(), *IMAGES[name].split()], tmp_path))
