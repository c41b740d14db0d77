"""One table of methods; each row buys these tests."""

import pytest
import torch
from conftest import masks_of, same_tensors

from fairseq_prune.methods import APPROACHES, METHODS
from fairseq_prune.pruning.units import is_coupled, parse_units

# Those of coupled units, which Transformers have by other names, and of convolutions are tested in tests/vision.
CONVOLUTIONAL = {"stripe", "patdnn"}
PRUNING = [
    name
    for number, (name, method) in enumerate(METHODS.items())
    if method.prunes and not is_coupled(parse_units(method.units)) and name not in CONVOLUTIONAL
    and method not in list(METHODS.values())[:number]
]  # fmt: skip
GRADUAL = "--prune-target 0.6 --prune-schedule cubic --prune-end 6up --prune-every 2up"
OWN = {
    "n:m": "--prune-target 1:4 --prune-schedule linear --prune-end 6up --prune-every 2up",
    "admm": "--prune-target 0.6 --prune-freeze 6up --prune-every 2up",
    "set": "--prune-target 0.6 --prune-freeze 6up --prune-every 2up",
    "rigl": "--prune-target 0.6 --prune-freeze 6up --prune-every 2up",
    "movement": "--prune-target 0.6 --prune-end 6up",
    "soft_movement": "--prune-target 0.6 --prune-end 6up",
    "sr_ste": "--prune-target 1:4 --prune-freeze 6up",
    "skeleton": "--prune-target 0.6 --prune-units row --prune-scope layer --prune-end 6up",
    "hoyer_square": "--prune-target 0.6 --prune-end 6up",
}
OPTIMIZERS = {
    "adam": [],
    "adam-decay": ["--weight-decay", "0.1"],
    "sgd": ["--optimizer", "sgd", "--momentum", "0.9", "--weight-decay", "0.01", "--lr", "0.1"],
    "amp": ["--amp"],
}


def options_of(method):
    return ["--prune-method", method, *OWN.get(method, GRADUAL).split()]


def count(method, shape):
    """Weights of a tensor that are removed."""
    if METHODS[method].units == "n:m":
        return shape.numel() * 3 // 4
    if method == "skeleton":
        return round(0.6 * shape[0]) * shape[1]
    return round(0.6 * shape.numel())


def removed_and_shapes(checkpoint):
    """Zeros under the masks, and shapes of the prunable tensors (matrices; shared ones once)."""
    seen = {t.data_ptr(): t.shape for t in checkpoint["model"].values() if t.dim() >= 2}
    return sum(int((~m).sum()) for m in masks_of(checkpoint).values()), list(seen.values())


def averages_of(method):
    """Of methods that can have them."""
    approach = METHODS[method].approach
    return [] if approach and APPROACHES[type(approach)].gated else ["--store-ema", "--ema-decay", "0.9"]


@pytest.fixture(scope="module")
def whole(module_run):
    """Function of a method -> its run, which also averages and saves at every update; and its last checkpoint."""
    found = {}

    def trained(method):
        if method not in found:
            run = module_run(method)
            words = [*options_of(method), *averages_of(method), "--save-interval-updates", "1", "--disable-validation"]
            found[method] = run, run.train(*words)
        return found[method]

    return trained


def test_averages_would_miss_gates(new_run):
    with pytest.raises(SystemExit, match="^--store-ema: averages miss the gates of --prune-method skeleton"):
        new_run().train(*options_of("skeleton"), "--store-ema")


@pytest.mark.parametrize("method", PRUNING)
def test_exact_count_and_zero_under_the_mask(whole, method):
    """Of averages, too."""
    _, checkpoint = whole(method)
    removed, shapes = removed_and_shapes(checkpoint)
    if METHODS[method].scope == "global" and method != "skeleton":
        shapes = [torch.Size([sum(shape.numel() for shape in shapes)])]
    assert removed == sum(count(method, shape) for shape in shapes)
    averages = checkpoint["extra_state"].get("ema", checkpoint["model"])
    for name, keep in masks_of(checkpoint).items():
        assert not checkpoint["model"][name][~keep].any() and not averages[name][~keep].any()
        assert (checkpoint["model"][name][keep] != 0).float().mean() > 0.9


@pytest.mark.parametrize(
    "method, optimizer",
    [(m, o) for m in PRUNING for o in OPTIMIZERS if m == "magnitude" or o == "adam-decay" and m in OWN],
)
def test_stays_pruned(new_run, method, optimizer):
    """After further updates, weights are still masked."""
    checkpoint = new_run().train(*options_of(method), *OPTIMIZERS[optimizer])
    masks = masks_of(checkpoint)
    assert masks and "ema" not in checkpoint["extra_state"]
    for name, keep in masks.items():
        assert not checkpoint["model"][name][~keep].any()


@pytest.mark.parametrize("method", PRUNING)
def test_interrupted_equals_uninterrupted(whole, new_run, method):
    """Stopped anywhere in the schedule and resumed: weights, averages, masks, position and moments agree."""
    run, end = whole(method)
    for stop in (1, 3, 4, 7) if method == "magnitude" else (3, 7):
        resumed = new_run(f"stopped-{stop}")
        resumed.begin_at(run.folder / f"checkpoint_1_{stop}.pt")
        before = resumed.checkpoint()
        assert not same_tensors(end["model"], before["model"])  # control: there was something left to do
        after = resumed.train(*options_of(method), *averages_of(method), "--disable-validation")
        assert same_tensors(end["model"], after["model"])
        if averages_of(method):
            assert same_tensors(end["extra_state"]["ema"], after["extra_state"]["ema"])
        assert same_tensors(masks_of(end), masks_of(after))
        assert same_tensors(end["last_optimizer_state"]["state"], after["last_optimizer_state"]["state"])
        assert state_of(end) == state_of(after)


@pytest.fixture(scope="module")
def finetuned(module_run):
    """Function of a method -> losses after the same finetuning of a trained toy model, over three seeds."""
    module_run("dense").train("--max-update", "60", "--disable-validation")
    found = {}

    def losses(method, *words):
        if method not in found:
            found[method] = [
                module_run(f"{method}-{seed}").train(
                    "--finetune-from-model", module_run("dense").folder / "checkpoint_last.pt", "--seed", seed,
                    "--prune-method", method, *words, "--max-update", "10",
                )["extra_state"]["val_loss"]
                for seed in (1, 2, 3)
            ]  # fmt: skip
        return found[method]

    return losses


HALF = {
    "imp": "--prune-target 0.5 --prune-end 6up --prune-every 3up",
    "n:m": "--prune-target 2:4",
    "admm": "--prune-target 0.5 --prune-freeze 6up --prune-rho 0.1",
    "sr_ste": "--prune-target 2:4 --prune-freeze 3up",
    "hoyer_square": "--prune-target 0.5 --prune-end 3up",
}
# need more updates than these, or (grasp) a net without training
SLOW = {"random", "set", "rigl", "movement", "soft_movement", "skeleton", "grasp"}


@pytest.mark.parametrize("method", [name for name in PRUNING if name not in SLOW])
def test_beats_random(finetuned, method):
    words = HALF.get(method, "--prune-target 0.5").split()
    assert max(finetuned(method, *words)) < min(finetuned("random", "--prune-target", "0.5"))


def state_of(checkpoint):
    return checkpoint["extra_state"]["PruneTranslationTask"]
