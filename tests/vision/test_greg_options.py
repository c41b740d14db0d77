"""GReg's smaller options: counts and units of another run, new weights after the cut, norms, and what a run tells."""

import json
import logging
from types import SimpleNamespace

import pytest
import torch
from conftest import ImageRun, masks_of, same_tensors, words_of

from fairseq_prune.cli.main import main
from fairseq_prune.compat import load_checkpoint
from fairseq_prune.engine.make_plan import make_plan
from fairseq_prune.pruning.selecting import Selection
from fairseq_prune.report.growth import read_growth
from vision.test_greg import RATIOS, WIDTHS, prune, widths
from vision_bridge import pruning
from vision_bridge.cost import layer_costs
from vision_bridge.pruning_options import VisionPruningOptions, add_vision_options
from vision_bridge.rebuild import rebuild

FROZEN = words_of("--lr-ft 0:0 --weight-decay 0")
STILL = [*FROZEN, "--prune-lr", "0"]
SHORT = [*STILL, "--max-update", "2"]
CONV = "net.layer1.0.conv1.weight"


@pytest.fixture(scope="module")
def bases(tmp_path_factory):
    """Runs of one seed: the largest filters cut, the smallest cut, the largest weights masked, nothing removed."""
    folder, largest = tmp_path_factory.mktemp("bases"), ["--pick-pruned", "max"]
    words = {
        "cut": [*prune("l1"), *largest],
        "smallest": prune("l1"),
        "masked": ["--prune-method", "l1", "--wg", "weight", "--stage-pr", "[0,0.3,0.5,0.5,0.25]", *largest],
        "dense": [],
    }
    for name, more in words.items():
        still = STILL if more else FROZEN
        ImageRun(folder / name, None, None, "--arch resnet8").train(*more, *still, "--max-update", "2")
    return {name: folder / name / "checkpoint_last.pt" for name in words}


def follow(run, method, base, *more):
    """Train frozen weights, of which as much is removed as another checkpoint has lost."""
    frozen = SHORT if method == "l1" else STILL
    return run.train("--prune-method", method, *prune(method)[4:], "--base-pr-model", base, *more, *frozen)


@pytest.mark.parametrize("method, how", [("l1", []), ("greg1", []), ("l1", ["pr"]), ("greg2", [])])
def test_what_another_run_removed(new_image_run, bases, caplog, method, how):
    """By index the same filters, which were the largest; by count the smallest. greg2 only counts."""
    with caplog.at_level(logging.INFO, "fairseq_prune"):
        found = follow(new_image_run(), method, bases["cut"], *(["--inherit-pruned", *how] if how else []))
    base, smallest = (load_checkpoint(bases[name])["model"] for name in ("cut", "smallest"))
    assert widths(found) == WIDTHS
    same = base if method != "greg2" and not how else smallest
    assert torch.equal(found["model"][CONV], same[CONV])
    assert not torch.equal(base[CONV], smallest[CONV])
    assert ("is removed in --base-pr-model, too" in caplog.text) == (same is smallest)


def test_single_weights_of_another_run(new_image_run, bases):
    words = ["--wg", "weight"]
    masks = masks_of(load_checkpoint(bases["masked"]))
    assert same_tensors(masks, masks_of(follow(new_image_run("index"), "l1", bases["masked"], *words)))
    counted = masks_of(follow(new_image_run("pr"), "l1", bases["masked"], *words, "--inherit-pruned", "pr"))
    assert {name: int(m.sum()) for name, m in masks.items()} == {name: int(m.sum()) for name, m in counted.items()}
    assert not same_tensors(masks, counted)


def test_a_masked_run_says_what_a_cut_one_does(new_image_run, bases, tmp_path):
    """Filters that are masked have indices by themselves; without its own record, a cut checkpoint has counts only."""
    run = new_image_run("masks")
    run.train("--prune-method", "l1", "--stage-pr", RATIOS, "--pick-pruned", "max", "--store-ema", *SHORT)
    assert masks_of(run.checkpoint())[CONV].shape == (16, 16, 3, 3)
    found = follow(new_image_run(), "l1", run.folder / "checkpoint_last.pt")
    assert torch.equal(found["model"][CONV], load_checkpoint(bases["cut"])["model"][CONV])
    checkpoint = load_checkpoint(bases["cut"])
    checkpoint["extra_state"].pop("PruneImageClassificationTask")
    torch.save(checkpoint, tmp_path / "bare.pt")
    assert widths(follow(new_image_run("pr"), "l1", tmp_path / "bare.pt", "--inherit-pruned", "pr")) == WIDTHS
    with pytest.raises(
        SystemExit, match="does not say which units of net.layer1.0.conv1 were cut.*--inherit-pruned pr"
    ):
        follow(new_image_run("index"), "l1", tmp_path / "bare.pt")


@pytest.mark.parametrize("kind", ["orth", "kaiming"])
def test_from_scratch_after_the_cut(new_image_run, bases, kind):
    """New weights at the cut widths, the same for a seed; norms are as new only with kaiming."""
    words = [*prune("l1"), *SHORT, "--reinit", kind]
    first = new_image_run("first").train(*words)
    if kind == "orth":
        assert same_tensors(first["model"], new_image_run("again").train(*words)["model"])
        assert not torch.equal(first["model"][CONV], new_image_run("2").train(*words, "--seed", "2")["model"][CONV])
    assert widths(first) == WIDTHS
    rows = first["model"]["net.layer3.0.conv2.weight"].flatten(1)  # 64 of 44 x 9
    products = rows @ rows.T
    if kind == "orth":
        assert torch.allclose(products, torch.eye(64), atol=1e-5)
    else:
        assert products.diagonal().mean() == pytest.approx(2, rel=0.1)  # He: fan-in times 2 / fan-in
        assert not first["model"]["net.fc.bias"].any() and not torch.allclose(products, torch.eye(64), atol=0.1)
    plain = load_checkpoint(bases["smallest"])["model"]
    assert torch.equal(first["model"]["net.fc.bias"], plain["net.fc.bias"]) == (kind == "orth")


def test_masks_outlive_new_weights(new_image_run):
    words = words_of("--prune-method l1 --wg weight --prune-target 0.5 --prune-start 3up --reinit orth --max-update 5")
    checkpoint = new_image_run().train(*words)
    masks = masks_of(checkpoint)
    assert masks and all(not checkpoint["model"][name][~keep].any() for name, keep in masks.items())


def test_law_of_the_penalty_on_norms(new_image_run, bases):
    """With --reg-bn the scales of removed filters shrink as these do; those that stay, and all others, do not."""
    law = """--block-loss-grad --momentum 0 --weight-decay 0 --stabilize-reg-interval 0 --update-reg-interval 1
        --reg-granularity-prune 0.25 --reg-upper-limit 0.6 --prune-lr 0.5 --max-update 3 --save-interval-updates 2"""
    words = ["--prune-method", "greg1", "--stage-pr", RATIOS, *words_of(law)]
    initial = load_checkpoint(bases["dense"])["model"]
    removed = initial[CONV].abs().mean((1, 2, 3)).argsort()[:12]
    expected = torch.ones(16)
    expected[removed] = (1 - 0.5 * 0.25) * (1 - 0.5 * 0.5)
    scale = "net.layer1.0.bn1.weight"
    for name, option in (("with", ["--reg-bn"]), ("without", [])):
        run = new_image_run(name)
        run.train(*words, *option)
        after = run.checkpoint("checkpoint_1_2.pt")["model"][scale]  # the next update removes
        assert torch.allclose(after, expected) == (name == "with")


def meters(checkpoint):
    """The last values of what was logged in training."""
    state = dict(checkpoint["extra_state"]["metrics"])
    return {name: meter["val"] for _, name, kind, meter in state["default"] if "val" in meter}


@pytest.mark.parametrize("units", ["filter", "weight"])
def test_costs_are_logged(new_image_run, monkeypatch, units):
    """Those of the model as it is, counted once before and once after the removal."""
    counted = []
    monkeypatch.setattr(pruning, "layer_costs", lambda *args: counted.append(1) or layer_costs(*args))
    run = new_image_run()
    checkpoint = run.train(
        "--prune-method", "l1", "--wg", units, "--prune-target", "0.5", "--prune-start", "2up", "--max-update", "4"
    )
    model, found = rebuild(checkpoint), meters(checkpoint)
    costs = layer_costs(model.net, model.example())
    masked = sum(int((~keep).sum()) for keep in masks_of(checkpoint).values())
    assert found["macs"] == sum(cost.macs for cost in costs)
    assert found["nonzero_macs"] == sum(cost.nonzero_macs for cost in costs)
    assert found["params"] == sum(p.numel() for p in model.parameters()) - masked
    assert (found["nonzero_macs"] < found["macs"]) == (units == "weight")
    assert len(counted) == 2
    assert "macs" not in meters(new_image_run("dense").train("--max-update", "1"))


def test_overlap_of_what_greg2_picks(new_image_run, bases):
    """The share of the picked filters that were the smallest at first, by hand."""
    run = new_image_run()
    rates = ["--prune-lr", "2", "--momentum", "0"]
    run.train(*prune("greg2"), *rates, "--save-interval-updates", "6", "--log-interval", "1")
    before = run.checkpoint("checkpoint_2_6.pt")  # of the removal
    state = before["extra_state"]["PruneImageClassificationTask"]
    selection = Selection.from_plain(state["approach"]["choice"], "cpu")
    initial = load_checkpoint(bases["dense"])["model"]
    both = removed = 0
    for name, keep in selection.keep.items():
        smallest = initial[f"{name}.weight"].abs().mean((1, 2, 3)).argsort(stable=True)[: int((~keep).sum())]
        both, removed = both + int((~keep[smallest]).sum()), removed + int((~keep).sum())
    assert removed == sum((16, 32, 64)) - sum(WIDTHS.values())
    assert state["approach"]["overlap"] == pytest.approx(both / removed)
    assert 0 < both < removed
    assert meters(before)["overlap"] == pytest.approx(both / removed)


def test_norms_against_updates(new_image_run, tmp_path):
    """What the file says is what the checkpoints hold; the command draws it."""
    run = new_image_run()
    words = "--update-reg-interval 1 --reg-granularity-prune 0.05 --reg-upper-limit 0.5 --stabilize-reg-interval 2"
    run.train("--prune-method", "greg1", "--stage-pr", RATIOS, *words_of(words), "--save-interval-updates", "10")
    records = [json.loads(line) for line in (run.folder / "growth.jsonl").read_text().splitlines()]
    assert [record["updates"] for record in records] == [0, 10]
    assert records[1]["penalty"] == pytest.approx(0.5) and records[1]["picked"]
    checkpoint = next(path for path in run.folder.glob("checkpoint_*_10.pt"))
    saved = load_checkpoint(checkpoint)
    state = saved["extra_state"]["PruneImageClassificationTask"]["approach"]
    for name, keep in Selection.from_plain(state["choice"], "cpu").keep.items():
        if not keep.all():
            norms, told = saved["model"][f"{name}.weight"].abs().sum((1, 2, 3)), records[1]["layers"][name]
            assert told["kept"] == pytest.approx(float(norms[keep].mean()), rel=1e-5)
            assert told["removed"] == pytest.approx(float(norms[~keep].mean()), rel=1e-5)
            assert told["removed"] < told["kept"]
    with open(run.folder / "growth.jsonl", "a") as file:  # as of a run that was interrupted after it
        file.write(json.dumps(records[1]) + "\n")
    assert read_growth(run.folder) == records
    main(["plot-growth", str(run.folder), str(tmp_path / "growth.png")])
    assert (tmp_path / "growth.png").read_bytes().startswith(b"\x89PNG")
    for folder, out, message in ((tmp_path, "a.png", "has no growth.jsonl"), (run.folder, "a.pdf", "OUT a.pdf: ")):
        with pytest.raises(SystemExit, match=message):
            main(["plot-growth", str(folder), out])


@pytest.mark.parametrize(
    "words, message",
    [
        ("--prune-method l1 --base-pr-model BASE --prune-target 0.5", "all say how much"),
        ("--prune-method l1 --base-pr-model DENSE", "none of these units was removed"),
        ("--prune-method l1 --base-pr-model BASE --wg weight", "another shape; .*--prune-units filter"),
        ("--prune-method l1 --base-pr-model BASE --arch resnet14", "it has no net.layer1.1.conv1.weight"),
        ("--prune-method greg1 --wg weight --prune-target 0.5 --reg-bn", "--reg-bn: .*--prune-units filter"),
    ],
)
def test_bad_input(new_image_run, bases, words, message):
    words = words.replace("BASE", str(bases["cut"])).replace("DENSE", str(bases["dense"])).split()
    with pytest.raises(SystemExit, match=message):
        new_image_run().train(*words)


BASE = {"base_pr_model": "a.pt"}


@pytest.mark.parametrize(
    "given, options, message",
    [
        ({**BASE, "stage_pr": "[0,0.5,0,0,0]"}, {}, "--stage-pr and --base-pr-model all say how much"),
        ({**BASE, "inherit_pruned": "all"}, {}, "--inherit-pruned all: give one of index, pr"),
        ({**BASE, "pick_pruned": "max"}, {}, "--inherit-pruned pr"),
        (BASE, {"method": "random"}, "--inherit-pruned pr"),
        (BASE, {"rounding": "up"}, "--prune-rounding up: "),
        ({"inherit_pruned": "pr"}, {"target": "0.5"}, "--inherit-pruned pr: has no effect here; .* --base-pr-model"),
        ({"reinit": "xavier"}, {}, "--reinit xavier: give one of orth, kaiming"),
        ({"reinit": "orth"}, {"method": "greg1"}, "--reinit orth: has no effect here; .* --prune-method l1"),
        ({"reinit": "orth"}, {"method": "greg2"}, "--reinit orth: has no effect here"),
        ({"reinit": "orth"}, {"method": "none"}, "--reinit orth: has no effect here"),
        ({"reinit": "orth", "prune_store_ema": True}, {}, "leave out --store-ema"),
    ],
)
def test_options_that_do_not_go_together(given, options, message):
    nothing = dict.fromkeys(VisionPruningOptions.__dataclass_fields__)
    cfg = SimpleNamespace(**{**nothing, "prune_store_ema": False, **given})
    with pytest.raises(ValueError, match=message):
        add_vision_options(cfg, {"method": "l1", **options})


def test_norms_are_penalised_by_a_penalty_alone():
    with pytest.raises(ValueError, match="--reg-bn True: is not for --prune-method l1; e.g. --prune-method greg1"):
        make_plan({"method": "l1", "target": "0.5", "approach": {"reg_bn": True}})
