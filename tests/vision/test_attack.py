"""`fairseq-prune attack`: what attacks find, how it is counted, and that the model stays as it was."""

import json
import math
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from conftest import USER_DIR, masks_of, run_fairseq, same_tensors, words_of
from torch import nn

from fairseq_prune.cli import attack as command
from fairseq_prune.cli.main import main
from fairseq_prune.compat import load_checkpoint
from fairseq_prune.deploy.load import load_model, load_task
from vision_bridge.attack.evaluate import evaluate, summarise
from vision_bridge.attack.perturb import is_right, perturb, smallest_norms
from vision_bridge.attack.pixels import PixelModel, draw, held_still
from vision_bridge.attack.settings import EPSILONS, Settings, read_attacks, read_epsilons
from vision_bridge.attack.table import ATTACKS, FIXED, MINIMAL, NORMS

TASK = ["digits", "--user-dir", USER_DIR, "--task", "prune_image_classification", "--num-workers", "0", "--cpu"]
STEPS = {"cw": 20, "salt_pepper": 40, "ddn": 20, "gaussian_noise": 10, "deepfool": 20, "pgd": 20}
VALID = 144  # images, a tenth of digits' training set
EPS = {"linf": 8 / 255, "l2": 0.7, "l1": 4.0}


def train(folder, *words):
    run_fairseq(
        "train", *TASK, *words_of("""--arch lenet300 --criterion image_classification --optimizer sgd --momentum 0.9
        --lr 0.05 --batch-size 64 --max-update 63 --no-epoch-checkpoints --disable-validation --log-format simple"""),
        "--save-dir", folder, *words,
    )  # fmt: skip
    return str(folder / "checkpoint_last.pt")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Path of a checkpoint."""
    return train(tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="module")
def masked(trained, tmp_path_factory):
    """Path of one with half of its neurons masked."""
    words = "--prune-method l1 --prune-target 0.5 --prune-units filter --store-ema"
    return train(tmp_path_factory.mktemp("masked"), "--finetune-from-model", trained, *words_of(words))


def load(path):
    task, _ = load_task(path)
    task.load_dataset("test")
    net = PixelModel(load_model(path, task), task.mean, task.std)
    net.task = task
    return net


@pytest.fixture(scope="module")
def net(trained):
    """The trained model of pixels, which knows its task."""
    return load(trained).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def batch():
    """Pixels and classes of 60 test images."""
    return pixels_of("test", range(60))


def pixels_of(split, indices):
    from vision_bridge.data.options import ImageOptions
    from vision_bridge.data.source import open_source

    images = open_source("digits", ImageOptions(seed=1)).images(split).take(list(indices))
    return images.images / 255, images.targets


def run(capsys, *words):
    """The JSON report."""
    capsys.readouterr()
    main(["attack", *map(str, words), "--cpu", "--json"])
    return json.loads(capsys.readouterr().out)


def refusal(capsys, *words):
    """The one line in which the command ends."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as caught:
        main(["attack", *map(str, words)])
    assert isinstance(caught.value.code, str) and "\n" not in caught.value.code
    assert capsys.readouterr().out == ""
    return caught.value.code


def few_steps(names):
    """Words of ``--steps`` for attacks."""
    chosen = ATTACKS if names == "all" else names.split(",")
    return ",".join(f"{name}={STEPS[name]}" for name in chosen if name in STEPS)


def evaluate_few(net, attacks="all", **options):
    """The evaluation of 2 batches of 30 test images in few steps."""
    options = {"eps": None, "batches": 2, "batch_size": 30, "seed": 1, **options}
    settings = Settings.read(SimpleNamespace(attacks=attacks, steps=few_steps(attacks), **options), 64)
    return evaluate(net, net.task.dataset("test"), settings)


def search(name, net, pixels, targets, epsilon):
    """The changed pixels, and their norms where they mislead."""
    (row,) = read_attacks(name, few_steps(name))
    changed = perturb(row, net, pixels, targets, None if row.kind == MINIMAL else epsilon, seed=1)
    return changed, smallest_norms(row, net, pixels, changed, targets)


# What attacks find


@pytest.mark.parametrize("name", ATTACKS)
def test_changes_are_small_and_images(name, net, batch):
    """Of the norm that was allowed, or counted; in [0, 1]; and they mislead more than no change does."""
    pixels, targets = batch
    row, right = ATTACKS[name], is_right(net, *batch)
    changed, norms = search(name, net, *batch, EPS[row.norm])
    sizes = torch.linalg.vector_norm((changed - pixels).flatten(1), NORMS[row.norm], dim=1)
    assert changed.shape == pixels.shape and changed.min() >= 0 and changed.max() <= 1
    misled = right & ~is_right(net, changed, targets)
    assert misled.any() and (sizes[misled] > 0).all()
    assert torch.equal(norms[misled], sizes[misled]) and norms[right & ~misled].isinf().all()
    assert (norms[~right] == 0).all()
    if row.kind == FIXED:
        assert (sizes <= EPS[row.norm] * (1 + 1e-5)).all()


def linear():
    """A linear model of 12 pixels in 3 classes, with a normalisation of its own for each channel."""
    torch.manual_seed(3)
    flat = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
    return PixelModel(flat, (0.1, 0.2, 0.3), (0.5, 0.6, 0.7)).requires_grad_(False), torch.rand(5, 3, 2, 2)


@pytest.mark.parametrize("name, epsilon", [("fgsm", 0.05), ("fgsm", 0.9), ("fgsm_l1", 0.5)])
def test_fgsm_by_hand(name, epsilon):
    """d loss / d x = W'(softmax - onehot) / std for a linear model."""
    net, pixels = linear()
    targets = torch.arange(5) % 3
    layer, std = net.model[1], torch.tensor([0.5, 0.6, 0.7])[:, None, None]
    mean = torch.tensor([0.1, 0.2, 0.3])[:, None, None]
    logits = ((pixels - mean) / std).flatten(1) @ layer.weight.T + layer.bias
    gradient = (logits.softmax(1) - nn.functional.one_hot(targets, 3)) @ layer.weight
    gradient = gradient.view_as(pixels) / std
    step = gradient.sign() if name == "fgsm" else gradient / gradient.abs().sum((1, 2, 3), keepdim=True)
    by_hand = (pixels + epsilon * step).clamp(0, 1)
    assert torch.allclose(perturb(ATTACKS[name], net, pixels, targets, epsilon, seed=1), by_hand, atol=1e-6)
    assert not torch.allclose(by_hand, pixels, atol=1e-3)


def test_deepfool_finds_the_distance_to_a_plane():
    """Two classes of a linear model without bounds in reach: the distance is that of the logits by |w0 - w1|."""
    net, _ = linear()
    net.model = nn.Sequential(nn.Flatten(), nn.Linear(12, 2)).requires_grad_(False)
    net.model[1].weight.mul_(4)
    pixels = 0.5 + 0.02 * torch.rand(6, 3, 2, 2)
    targets = net(pixels).argmax(1)
    weight = (net.model[1].weight[0] - net.model[1].weight[1]).view(3, 2, 2) / net.std
    logits = net(pixels)
    distance = (logits[:, 0] - logits[:, 1]).abs() / weight.norm()
    changed = perturb(ATTACKS["deepfool"], net, pixels, targets, None, seed=1)
    assert 0 < changed.min() and changed.max() < 1
    norms = smallest_norms(ATTACKS["deepfool"], net, pixels, changed, targets)
    assert torch.allclose(norms, 1.02 * distance, rtol=1e-2, atol=1e-3)  # it overshoots by 0.02


def test_pgd_is_at_least_as_strong_as_fgsm(net, batch):
    for epsilon in (2 / 255, 8 / 255, 16 / 255, 32 / 255):
        fgsm, pgd = (search(name, net, *batch, epsilon)[1].isinf().sum() for name in ("fgsm", "pgd"))
        assert pgd <= fgsm
    assert pgd < fgsm  # and stronger where the model is not linear any more


def test_a_random_change_misleads_less_than_a_chosen_one(net, batch):
    noise, chosen = (search(name, net, *batch, 0.7)[1] <= 0.7 for name in ("gaussian_noise", "deepfool"))
    assert chosen.sum() > 2 * noise.sum()


# How it is counted


def test_no_change_at_epsilon_0(net):
    """Accuracy is the clean one."""
    report = evaluate_few(net, eps="0,1")
    clean = report["clean_accuracy"]
    assert 0.8 < clean < 1
    for attack in report["attacks"]:
        assert attack["robust_accuracy"][0] == clean > attack["robust_accuracy"][1]
        assert attack["success_rate"][0] == 0


def test_success_grows_with_epsilon(net):
    report = evaluate_few(net, attacks="deepfool,ddn,cw,salt_pepper", eps="0,0.1,0.4,0.5,0.7,1,3,8")
    assert len(report["attacks"]) == 4 and report["images"] == 60
    for attack in report["attacks"]:
        rates, robust = attack["success_rate"], attack["robust_accuracy"]
        assert rates == sorted(rates) and rates[0] == 0 and rates[-1] > 0.8
        for rate, share in zip(rates, robust, strict=True):
            assert share == pytest.approx(report["clean_accuracy"] * (1 - rate))
        below = [eps for eps, share in zip(attack["epsilons"], robust, strict=True) if share > 0.5]
        assert max(below) <= attack["median_norm"]


def test_summary():
    """By hand: of four images one is wrong, one withstands all."""
    norms = {None: [torch.tensor([0, 0.2]), torch.tensor([0.6, math.inf])]}
    row = summarise(ATTACKS["deepfool"], {"0.1": 0.1, "1/2": 0.5, "1": 1.0}, norms)
    assert row["robust_accuracy"] == [0.75, 0.5, 0.25] and row["labels"] == ["0.1", "1/2", "1"]
    assert row["success_rate"] == pytest.approx([0, 1 / 3, 2 / 3]) and row["median_norm"] == pytest.approx(0.4)
    row = summarise(ATTACKS["pgd"], {"0.5": 0.5}, {0.5: norms[None]})
    assert row["robust_accuracy"] == [0.25] and row["median_norm"] is None
    row = summarise(ATTACKS["cw"], {"0.5": 0.5}, {None: [torch.tensor([math.inf, math.inf, 0])]})
    assert row["median_norm"] is None
    assert summarise(ATTACKS["cw"], {"0.5": 0.5}, {None: [torch.zeros(3)]})["success_rate"] == [None]


@pytest.mark.parametrize("name", ATTACKS)
def test_a_net_without_gradients_withstands(name):
    """All logits are constant, as in a net that was pruned away: nothing misleads it, NaN included."""
    net, pixels = linear()
    net.model[1].weight.zero_()
    targets = net(pixels).argmax(1)
    targets[0] = (targets[0] + 1) % 3
    assert search(name, net, pixels, targets, 0.3)[1].tolist() == [0, *[math.inf] * 4]


def test_clean_accuracy_is_that_of_validation(trained, capsys):
    report = run(capsys, trained, "--attacks", "fgsm", "--eps", "8/255", "--batch-size", 200, "--seed", 5)
    pixels, targets = pixels_of("test", range(report["images"]))
    task, _ = load_task(trained)
    model = load_model(trained, task).eval()
    mean, std = (torch.tensor(values)[:, None, None] for values in (task.mean, task.std))
    right = model((pixels - mean) / std).argmax(1) == targets
    assert report["images"] == len(task.source.images("test")) == 359
    assert report["clean_accuracy"] == pytest.approx(float(right.double().mean()), abs=1e-12)


def test_pixels_are_recovered(net):
    pixels, _ = pixels_of("test", range(50))
    assert torch.equal(net.pixels((pixels - net.mean) / net.std), pixels)


def test_images_are_drawn():
    batches = draw(range(100), 3, 30, seed=1)
    assert [len(batch) for batch in batches] == [30, 30, 30] and len({*map(int, torch.tensor(batches).flatten())}) == 90
    assert sum(map(len, draw(range(100), 9, 30, seed=1))) == 100
    assert list(draw(range(100), 1, 9, 1)[0]) == list(batches[0][:9]) != list(draw(range(100), 1, 9, 2)[0])


# Same seed, same model


RANDOM = "pgd,salt_pepper,gaussian_noise"


def test_same_seed_same_result(net):
    generator = torch.get_rng_state()
    first, again, other = (evaluate_few(net, attacks=RANDOM, seed=seed, eps="linf=0.1;l2=1") for seed in (1, 1, 2))
    assert first == again != other
    assert torch.equal(generator, torch.get_rng_state())


def test_an_attack_does_not_depend_on_the_others(net):
    together = evaluate_few(net, attacks=RANDOM, eps="linf=0.02,0.1;l2=1,2")["attacks"]
    alone = evaluate_few(net, attacks="pgd", eps="0.1")["attacks"][0]
    assert alone["robust_accuracy"] == together[0]["robust_accuracy"][1:]


def test_the_model_is_left_as_it_was(trained):
    net = load(trained).train()
    kept, frozen = net.model.net, next(net.parameters())
    next(kept.children()).eval()
    frozen.requires_grad_(False)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    modes = [module.training for module in net.modules()]
    assert True in modes and False in modes
    evaluate_few(net, batch_size=5)
    assert same_tensors(before, dict(net.state_dict())) and modes == [module.training for module in net.modules()]
    assert [p.requires_grad for p in net.parameters()] == [False] + [True] * (len(list(net.parameters())) - 1)
    assert all(p.grad is None for p in net.parameters())
    with pytest.raises(KeyError), held_still(net):
        raise KeyError
    assert modes == [module.training for module in net.modules()]


def test_masked_and_cut_give_the_same(masked, tmp_path, capsys):
    out = tmp_path / "cut.pt"
    main(["compact", masked, str(out)])
    words = ("--attacks", "all", "--steps", few_steps("all"), "--batches", 2, "--batch-size", 15)
    one, other = run(capsys, masked, *words), run(capsys, out, *words)
    assert any((mask == 0).any() for mask in masks_of(load_checkpoint(masked)).values())
    sizes = [sum(v.numel() for v in load_checkpoint(path)["model"].values()) for path in (masked, out)]
    assert sizes[1] < 0.7 * sizes[0]
    assert one["clean_accuracy"] == other["clean_accuracy"]
    for a, b in zip(one["attacks"], other["attacks"], strict=True):
        assert a["robust_accuracy"] == pytest.approx(b["robust_accuracy"], abs=1.01 / 30)  # an image on the edge
        assert a["median_norm"] == (b["median_norm"] and pytest.approx(b["median_norm"], rel=1e-3))


# The command


def test_table_and_figure(trained, tmp_path, capsys):
    path = tmp_path / "curve.png"
    words = words_of("--batches 1 --batch-size 20 --steps deepfool=9 --cpu --plot")
    main(["attack", trained, *words, str(path)])
    out = capsys.readouterr().out
    lines = [line.split() for line in out.splitlines() if line]
    assert "20 images of digits, test, seed 1; clean accuracy" in out and max(map(len, out.splitlines()[1:])) <= 120
    assert ["Linf", *EPSILONS["linf"].split(","), "median"] in lines and [
        "L2",
        "0.25",
        "0.5",
        "1",
        "2",
        "median",
    ] in lines
    assert [line[0] for line in lines][2:4] == ["fgsm", "pgd"]
    assert path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 10_000


def test_other_images(trained, capsys):
    report = run(capsys, trained, "--split", "valid", "--attacks", "fgsm", "--eps", "0", "--batches", 9)
    assert report["split"] == "valid" and report["images"] == VALID


def test_help_names_all_attacks():
    assert all(name in command.__doc__ for name in ATTACKS)


@pytest.mark.parametrize(
    "words, message",
    [
        ("--attacks fgms", "unknown attack 'fgms'; did you mean 'fgsm'? known: cw, "),
        ("--attacks fgsm,,pgd", "unknown attack ''"),
        ("--eps 8", "--eps 8: pixels are in [0, 1], so linf norms are in [0, 1]; give e.g. --eps 'linf=8/255'"),
        ("--eps -0.1", "--eps -0.1: pixels are in [0, 1]"),
        ("--eps l2=9", "--eps 9: pixels are in [0, 1], so l2 norms are in [0, 8]"),
        ("--eps nan", "--eps nan: not a number"),
        ("--eps 8/0", "--eps 8/0: not a number"),
        ("--eps l3=1", "--eps l3=1: norms of the attacks are linf, l2;"),
        ("--eps l1=1", "--eps l1=1: norms of the attacks are linf, l2;"),
        ("--steps pgd=0", "--steps pgd=0: not NAME=N"),
        ("--steps fgsm=3", "--steps fgsm=3: fgsm takes one step"),
        ("--steps cw=3", "--steps cw=3: cw is not among --attacks"),
        ("--steps pgf=3", "unknown attack 'pgf'; did you mean 'pgd'?"),
        ("--batches 0", "--batches 0: at least 1"),
        ("--batch-size -1", "--batch-size -1: at least 1"),
        ("--plot curve.jpg", "--plot curve.jpg: a PNG is written"),
        ("--plot nowhere/curve.png", "--plot nowhere/curve.png: no such folder"),
        ("--data nowhere", "DATA nowhere: no such folder"),
    ],
)
def test_mistakes_are_explained(trained, capsys, words, message):
    option, value = words.split(" ", 1)
    assert refusal(capsys, trained, f"{option}={value}").startswith(message)


def test_epsilons():
    read = read_epsilons("linf=8/255, 0.5 ,0", ["linf", "l2"], 64)
    assert list(read["linf"].items()) == [("0", 0.0), ("8/255", 8 / 255), ("0.5", 0.5)]
    assert list(read["l2"]) == EPSILONS["l2"].split(",")
    assert read_epsilons("1", ["linf", "l1"], 64) == {"linf": {"1": 1.0}, "l1": {"1": 1.0}}


def test_a_checkpoint_of_another_task(new_run, tmp_path, capsys):
    run = new_run()
    run.train("--max-update", "1")
    assert "of task prune_translation; attacks change images" in refusal(capsys, run.folder / "checkpoint_last.pt")
    assert "no such file" in refusal(capsys, tmp_path / "none.pt")


@pytest.mark.parametrize("package, words", [("foolbox", ""), ("matplotlib", "--plot=curve.png")])
def test_a_missing_extra(package, words, trained, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    extra = {"foolbox": "attack", "matplotlib": "plots"}[package]
    assert f"pip install 'fairseq-prune[{extra}]'" in refusal(capsys, trained, *words.split())


def test_foolbox_without_git(tmp_path):
    """GitPython, which its zoo imports, looks for the program."""
    code = "from vision_bridge.attack.table import load_foolbox; load_foolbox()"
    subprocess.run([sys.executable, "-c", code], env={"PATH": str(tmp_path)}, check=True)
    bare = [sys.executable, "-c", "import foolbox"]
    assert subprocess.run(bare, env={"PATH": str(tmp_path)}, capture_output=True).returncode
