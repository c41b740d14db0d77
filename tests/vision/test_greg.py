"""Filters that are removed under a growing penalty, in whole runs of fairseq-train."""

import pytest
import torch
from conftest import masks_of, same_tensors, words_of

from fairseq_prune.methods.table import METHODS

RATIOS = "[0,0.75,0.5,0.3,0]"
WIDTHS = {"layer1.0": 4, "layer2.0": 16, "layer3.0": 44}  # of 16, 32 and 64; one always stays
FAST = words_of("--update-reg-interval 2 --stabilize-reg-interval 2 --reg-granularity-prune 0.25 --reg-upper-limit 1")
FAST_PICK = [*FAST, *words_of("--reg-upper-limit-pick 0.02 --reg-granularity-pick 0.01")]
OPTIONS = {"l1": [], "greg1": FAST, "greg2": FAST_PICK}  # greg1 is through at 8 up, greg2 at 12


def prune(method, *more):
    return ["--prune-method", method, "--stage-pr", RATIOS, *OPTIONS[method], *more]


def widths(checkpoint):
    return {f"layer{i}.0": checkpoint["model"][f"net.layer{i}.0.conv1.weight"].shape[0] for i in (1, 2, 3)}


@pytest.mark.parametrize("method", OPTIONS)
def test_cut_in_the_run(new_image_run, method):
    """The cut model is plain, trains on with its momentum, and has the widths that were asked for."""
    checkpoint = new_image_run().train(*prune(method))
    model = checkpoint["model"]
    assert widths(checkpoint) == WIDTHS and not masks_of(checkpoint)
    for block, width in WIDTHS.items():
        assert model[f"net.{block}.bn1.running_var"].shape == (width,)
        assert model[f"net.{block}.conv2.weight"].shape[1] == width
        assert model[f"net.{block}.conv2.weight"].shape[0] in (16, 32, 64)
    momentum = [s["momentum_buffer"] for s in checkpoint["last_optimizer_state"]["state"].values()]
    assert sorted(m.numel() for m in momentum) == sorted(
        v.numel() for n, v in model.items() if "running" not in n and "num_batches" not in n
    )
    before = new_image_run("dense").train()
    assert widths(before) == {"layer1.0": 16, "layer2.0": 32, "layer3.0": 64}  # control


@pytest.mark.parametrize("method, stops", [("greg1", (3, 6, 9, 11)), ("greg2", (3, 7, 13, 15))])
def test_interrupted_equals_uninterrupted(new_image_run, method, stops):
    """Stopped while picking, growing, stabilising or finetuning: the same to the bit."""
    run = new_image_run("whole")
    whole = run.train(*prune(method), "--save-interval-updates", "1")
    files = {int(path.stem.rpartition("_")[2]): path for path in run.folder.glob("checkpoint_*_*.pt")}
    for stop in stops:
        resumed = new_image_run(f"stopped-{stop}")
        resumed.begin_at(files[stop])
        assert not same_tensors(whole["model"], resumed.checkpoint()["model"])  # control: there was something to do
        after = resumed.train(*prune(method))
        assert same_tensors(whole["model"], after["model"])
        assert same_tensors(whole["last_optimizer_state"]["state"], after["last_optimizer_state"]["state"])


def test_single_weights(new_image_run):
    """Weights stay masked; layers with fraction 0 are whole."""
    checkpoint = new_image_run().train(
        "--prune-method", "greg1", "--wg", "weight", "--stage-pr", "[0,0.5,0.5,0.5,0.25]", *FAST
    )
    masks = masks_of(checkpoint)
    assert "net.conv1.weight" not in masks
    for name, keep in masks.items():
        fraction = 0.25 if "fc" in name else 0.5
        assert int((~keep).sum()) == -int(-fraction * keep.numel() // 1)
        assert not checkpoint["model"][name][~keep].any()


def test_law_of_the_penalty(new_image_run):
    """With the gradient of the loss blocked, no momentum and no decay, w <- w (1 - rate * factor)."""
    law = "--block-loss-grad --momentum 0 --weight-decay 0 --stabilize-reg-interval 3 --update-reg-interval 1"
    steps = "--reg-granularity-prune 0.25 --reg-upper-limit 0.6 --prune-lr 0.5 --save-interval-updates 1"
    run = new_image_run()
    run.train("--prune-method", "greg1", "--stage-pr", RATIOS, *words_of(law), *words_of(steps), "--max-update", "6")
    names = [path.name for path in sorted(run.folder.glob("checkpoint_*_?.pt"), key=lambda p: int(p.stem[-1]))]
    weights = [run.checkpoint(name)["model"]["net.layer1.0.conv1.weight"] for name in names]
    removed = weights[0].abs().mean((1, 2, 3)).argsort()[:12]
    stays = [i for i in range(16) if i not in removed]
    pairs = zip((0.5, 0.75), weights[:2], weights[1:3], strict=True)  # 0.25 was that of the first update
    for factor, before, after in pairs:
        assert torch.allclose(after[removed], before[removed] * (1 - 0.5 * factor), rtol=1e-5)
        assert torch.equal(after[stays], before[stays])


def test_fraction_zero_is_plain_training(new_image_run):
    """A run whose fractions are all 0 has no side effects but the constant rate of the phase."""
    zero = new_image_run("zero").train("--prune-method", "l1", "--stage-pr", "[0,0,0,0,0]")
    assert same_tensors(zero["model"], new_image_run("plain").train()["model"])


@pytest.mark.parametrize("method", ["greg1", "greg2"])
def test_a_penalty_on_nothing_is_refused(new_image_run, method):
    words = [*prune(method)[:2], "--stage-pr", "[0,0,0,0,0]", *prune(method)[4:]]
    with pytest.raises(SystemExit, match="all fractions are 0, .* --prune-target 0.5"):
        new_image_run().train(*words)


def test_the_same_filters_as_at_once(new_image_run):
    """l1 and greg1 choose by the weights they start from: what stays is the same rows of the same tensor."""
    frozen = words_of("--prune-lr 0 --lr-ft 0:0 --weight-decay 0")
    l1, greg = (new_image_run(m).train(*prune(m), *frozen) for m in ("l1", "greg1"))
    largest = new_image_run("max").train(*prune("l1"), "--pick-pruned", "max", *frozen)
    name = "net.layer1.0.conv1.weight"
    assert torch.equal(l1["model"][name], greg["model"][name])
    assert not torch.equal(l1["model"][name], largest["model"][name])


@pytest.mark.parametrize(
    "words, message",
    [
        ("--prune-method l1 --stage-pr [0,0.5,0.5]", "takes 5"),
        ("--prune-method l1 --stage-pr [0,1.5,0,0,0]", "not a fraction"),
        ("--prune-method l1 --stage-pr [0,0.5,0,0,0] --prune-target 0.5", "all say how much"),
        ("--prune-method l1 --prune-macs-left 1.5", "--prune-macs-left 1.5"),
        ("--prune-method l1", "needs --prune-target"),
        ("--prune-method l1 --prune-target 0.5 --pick-pruned med", "--pick-pruned med"),
        ("--prune-method l1 --prune-target 0.5 --reg-upper-limit 2", "is not for --prune-method l1"),
        ("--prune-method greg1 --prune-target 0.5 --reg-upper-limit -1", "--reg-upper-limit -1"),
        ("--prune-method greg1 --prune-target 0.5 --reg-fit", "needs --prune-end in updates"),
        ("--lr-ft 0-0.1", "--lr-ft 0-0.1"),
    ],
)
def test_bad_input(new_image_run, words, message):
    with pytest.raises(SystemExit, match=message):
        new_image_run().train(*words.split())


def test_every_method_of_greg_is_here():
    assert set(OPTIONS) == {name for name, method in METHODS.items() if method.rounding == "up"} - {"greg_1", "greg_2"}
